variable "TAG" { default = "latest" }
target "default" {
  tags = ["ghcr.io/megalotron/backend:${TAG}", "ghcr.io/megalotron/backend:main"]
}
