#!/bin/sh
# Tells a Spark executor which GPUs it has: one line of JSON, as text.gpu.discovery_script.
# An executor must see its own GPUs only, as containers of Kubernetes and of YARN do.
addresses=$(nvidia-smi --query-gpu=index --format=csv,noheader) || exit 1
printf '{"name": "gpu", "addresses": [%s]}\n' \
  "$(printf '%s\n' "$addresses" | sed 's/ *$//; s/.*/"&"/' | paste -sd, -)"
