"""The image process of Megalotron as code: names, tags, releases."""
