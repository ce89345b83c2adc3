# docker build --tag nextmove .    How it is run: docs/how-to/containers.md. What of it was tried: `make image-check`.
FROM python:3.11.14-slim-bookworm AS build

# Whatever minor version Debian has today compiles the same C; the compiler does not reach the image.
# hadolint ignore=DL3008
RUN apt-get update && apt-get install --yes --no-install-recommends gcc libc6-dev && rm -rf /var/lib/apt/lists/*

ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore
WORKDIR /build

# First what seldom changes: these layers are kept from build to build.
COPY requirements.lock requirements-build.lock ./
RUN pip install --require-hashes --only-binary :all: --requirement requirements-build.lock
RUN python -m venv --without-pip /opt/nextmove \
    && pip --python /opt/nextmove/bin/python install --require-hashes --only-binary :all: --requirement requirements.lock

COPY pyproject.toml setup.py LICENSE ./
COPY benchmarks benchmarks
COPY config config
COPY connectors connectors
COPY operators operators
COPY pipeline pipeline
RUN pip wheel --no-deps --no-build-isolation --wheel-dir dist . \
    && pip --python /opt/nextmove/bin/python install --no-deps --no-index dist/*.whl \
    && pip --python /opt/nextmove/bin/python check
# Without a compiler it would be built all the same, and run at a fraction of its speed.
RUN /opt/nextmove/bin/python -I -c "import operators.cart as it; assert it.__file__.endswith('.so'), 'not compiled'"

FROM python:3.11.14-slim-bookworm

LABEL org.opencontainers.image.title="nextmove" \
      org.opencontainers.image.description="Watches every touchpoint of a shop's customers as it happens and says within seconds what to do next." \
      org.opencontainers.image.licenses="Apache-2.0"

RUN groupadd --gid 10001 nextmove \
    && useradd --no-log-init --uid 10001 --gid 10001 --no-create-home --home-dir /var/lib/nextmove nextmove \
    && install --directory --owner nextmove --group nextmove /var/lib/nextmove

COPY --from=build /opt/nextmove /opt/nextmove
ENV PATH=/opt/nextmove/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1

USER 10001:10001
WORKDIR /var/lib/nextmove
VOLUME /var/lib/nextmove
EXPOSE 9464
STOPSIGNAL SIGTERM
# urlopen raises on anything but success, and Python makes an exit code of 1 of it.
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --retries=3 \
    CMD ["python", "-I", "-c", "import os, urllib.request as r; r.urlopen('http://127.0.0.1:' + os.environ.get('NEXTMOVE_TELEMETRY_PORT', '9464') + '/healthz', timeout=4)"]
ENTRYPOINT ["nextmove"]
