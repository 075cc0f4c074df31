#!/bin/sh
docker push "$1:also"
