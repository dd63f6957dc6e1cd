# syntax=docker/dockerfile:1
# The server in a container, as a user without rights.
#
#   docker build -t crosstalk .
#   docker build -t crosstalk --build-arg DEVICE=cuda .
#
# It listens on all addresses of the container, so it starts with API keys only (CROSSTALK_ACCESS__REQUIRED=true), or where it is
# said that nobody but you reaches it (CROSSTALK_ACCESS__ALLOW_OPEN=true); docs/security.md.
#
# DEVICE      what the engine runs on: cpu, cuda, or auto (a GPU when the container is given one)
# PIP_ARGS    further arguments for pip, for example an index with CPU-only builds of PyTorch (a much smaller image)
# PYTHON      the base image's tag

ARG PYTHON=3.11-slim-bookworm

FROM python:${PYTHON} AS build
ARG PIP_ARGS=""
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PYTHONDONTWRITEBYTECODE=1
RUN python -m venv /opt/venv
WORKDIR /src
COPY pyproject.toml constraints.txt README.md LICENSE NOTICE ./
# The libraries first, apart from the code: a change of code does not install them again.
RUN --mount=type=cache,target=/root/.cache/pip mkdir -p app models \
    && /opt/venv/bin/pip install ${PIP_ARGS} --constraint constraints.txt .
COPY app ./app
COPY models ./models
RUN --mount=type=cache,target=/root/.cache/pip /opt/venv/bin/pip install --no-deps --force-reinstall .

FROM python:${PYTHON} AS runtime
ARG DEVICE=auto
# Nothing calls home: pyannote's metrics, Hugging Face's telemetry and its hub are all off.
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYANNOTE_METRICS_ENABLED=0 \
    HF_HUB_DISABLE_TELEMETRY=1 \
    CROSSTALK_DATA_DIR=/data \
    CROSSTALK_WEIGHTS_DIR=/weights \
    CROSSTALK_ENGINE__DEVICE=${DEVICE} \
    CROSSTALK_SERVER__HOST=0.0.0.0 \
    CROSSTALK_LOG__FORMAT=json
RUN useradd --uid 10001 --create-home crosstalk \
    && install -d -o crosstalk -g crosstalk /data /weights
COPY --from=build /opt/venv /opt/venv
USER crosstalk
WORKDIR /home/crosstalk
VOLUME ["/data", "/weights"]
EXPOSE 8000
# The first start fetches the weights into their volume; until the engine has passed its probe the container is not healthy.
HEALTHCHECK --interval=30s --timeout=10s --start-period=5m --retries=3 \
    CMD ["python", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:8000/healthz', timeout=5)"]
CMD ["sh", "-c", "crosstalk models fetch && exec crosstalk serve"]
