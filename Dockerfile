# syntax=docker/dockerfile:1
# The server in a container, as a user without rights; its root file system may be read-only. docs/deploy.md explains.
#
#   docker build -t crosstalk .                                       whatever PyTorch your package index gives
#   docker build -t crosstalk:cpu  --build-arg DEVICE=cpu  --build-arg TORCH_INDEX=URL .
#   docker build -t crosstalk:cuda --build-arg DEVICE=cuda .
#   docker build -t crosstalk:airgapped --target airgapped .          with the weights inside
#   docker build --target sbom-file --output . .                      sbom.cdx.json, CycloneDX
#
# It listens on all addresses of the container, so it starts with API keys only (CROSSTALK_ACCESS__REQUIRED=true), or where it
# is said that nobody but you reaches it (CROSSTALK_ACCESS__ALLOW_OPEN=true); docs/security.md.
#
# DEVICE        what the engine runs on: auto (a GPU when the container is given one), cpu or cuda. With cpu and cuda the
#               build fails unless PyTorch is a build for that device.
# TORCH_INDEX   a further package index that has PyTorch's builds for the device (a CPU-only one is gigabytes smaller)
# PIP_ARGS      further arguments for pip
# PYTHON        the base image's tag

ARG PYTHON=3.11.13-slim-bookworm

FROM python:${PYTHON} AS libraries
ARG DEVICE=auto
ARG TORCH_INDEX=""
ARG PIP_ARGS=""
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PYTHONDONTWRITEBYTECODE=1 PATH=/opt/venv/bin:$PATH
RUN python -m venv /opt/venv
WORKDIR /src
COPY pyproject.toml constraints.txt README.md LICENSE NOTICE ./
# The libraries apart from the code: a change of code neither installs nor ships them again.
# hadolint ignore=SC2086,DL3042
RUN --mount=type=cache,target=/root/.cache/pip mkdir -p app models \
    && pip install ${TORCH_INDEX:+--extra-index-url "$TORCH_INDEX"} ${PIP_ARGS} --constraint constraints.txt \
       '.[otel,s3]' \
    && pip uninstall --yes --quiet crosstalk
COPY deploy/check_torch.py ./
RUN python check_torch.py "$DEVICE"

FROM libraries AS code
COPY app ./app
COPY models ./models
# hadolint ignore=DL3042
RUN --mount=type=cache,target=/root/.cache/pip pip install --no-deps --target /opt/crosstalk .

FROM libraries AS sbom
ARG CYCLONEDX=7.5.0
ARG PIP_ARGS=""
COPY --from=code /opt/crosstalk /opt/venv/lib/python3.11/site-packages
# hadolint ignore=SC2086,DL3042
RUN --mount=type=cache,target=/root/.cache/pip python -m venv /opt/cyclonedx \
    && /opt/cyclonedx/bin/pip install ${PIP_ARGS} "cyclonedx-bom==${CYCLONEDX}" \
    && /opt/cyclonedx/bin/cyclonedx-py environment --output-reproducible --pyproject pyproject.toml \
       --output-file /sbom.cdx.json /opt/venv/bin/python

FROM scratch AS sbom-file
COPY --from=sbom /sbom.cdx.json /

FROM python:${PYTHON} AS base
ARG DEVICE=auto
# Nothing calls home: pyannote's metrics, Hugging Face's telemetry and its hub are all off.
ENV PATH=/opt/venv/bin:/opt/crosstalk/bin:$PATH \
    PYTHONPATH=/opt/crosstalk \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    PYANNOTE_METRICS_ENABLED=0 \
    HF_HUB_DISABLE_TELEMETRY=1 \
    CROSSTALK_DATA_DIR=/data \
    CROSSTALK_WEIGHTS_DIR=/weights \
    CROSSTALK_ENGINE__DEVICE=${DEVICE} \
    CROSSTALK_SERVER__HOST=0.0.0.0 \
    CROSSTALK_SERVER__PORT=8000 \
    CROSSTALK_LOG__FORMAT=json
RUN useradd --uid 10001 --create-home crosstalk \
    && install -d -o crosstalk -g crosstalk /data /weights
COPY --from=libraries /opt/venv /opt/venv
COPY --from=sbom /sbom.cdx.json /usr/share/doc/crosstalk/sbom.cdx.json
COPY --from=code /opt/crosstalk /opt/crosstalk
USER 10001:10001
WORKDIR /home/crosstalk
EXPOSE 8000
# Alive, not ready: /readyz says whether work may be sent. A first start fetches the weights, which takes minutes.
HEALTHCHECK --interval=10s --timeout=10s --start-period=5m --start-interval=2s --retries=3 \
    CMD ["python", "-c", "import os, ssl, urllib.request as r; tls = 'CROSSTALK_SERVER__TLS_CERTFILE' in os.environ; r.urlopen(f\"http{'s' * tls}://127.0.0.1:{os.environ['CROSSTALK_SERVER__PORT']}/healthz\", timeout=5, context=ssl._create_unverified_context() if tls else None)"]
STOPSIGNAL SIGTERM

FROM base AS fetched
RUN crosstalk models fetch

# For sites without a way out: the weights are part of the image, and nothing is fetched.
FROM base AS airgapped
COPY --from=fetched --chown=0:0 /weights /opt/weights
ENV CROSSTALK_WEIGHTS_DIR=/opt/weights
VOLUME ["/data"]
CMD ["crosstalk", "serve"]

FROM base AS runtime
VOLUME ["/data", "/weights"]
CMD ["sh", "-c", "crosstalk models fetch && exec crosstalk serve"]
