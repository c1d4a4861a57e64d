# syntax=docker/dockerfile:1
# One image for every service:  docker build -t headrace .   (docs/DEPLOY.md)
#
# The kernels are compiled here, for one declared CPU. Measured on a busy two-core machine: the first
# prediction waits 45 s for the compiler without a cache and 4 s with one; numba takes a cache only for
# the very CPU that it was made for, so compiling for "this machine" would be of no use to another.
# It also means that every node computes the same bytes. x86-64-v3 is any server since 2015; for ARM:
#   --build-arg NUMBA_CPU_NAME=generic --build-arg NUMBA_CPU_FEATURES=+neon
ARG PYTHON_IMAGE=python:3.11-slim-bookworm

FROM ${PYTHON_IMAGE} AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore
WORKDIR /build
RUN python -m venv /opt/headrace/venv
ENV PATH=/opt/headrace/venv/bin:$PATH
COPY requirements.lock requirements-build.lock ./
RUN pip install --require-hashes --only-binary :all: -r requirements.lock
# The build's own tools are pinned too, and stay out of the image.
RUN python -m venv /build/tools && /build/tools/bin/pip install --require-hashes -r requirements-build.lock
COPY pyproject.toml README.md LICENSE ./
COPY services services
COPY shared shared
RUN /build/tools/bin/pip wheel --no-deps --no-build-isolation --wheel-dir /build/wheels . \
 && pip install --no-deps --no-index /build/wheels/headrace-*.whl
# numba recognises a source file by its size and time; whole seconds survive every copy of a layer.
RUN find /opt/headrace/venv -name '*.py' -exec touch -d @1700000000 {} + \
 && python -m compileall -q /opt/headrace/venv
ARG NUMBA_CPU_NAME=x86-64-v3
ARG NUMBA_CPU_FEATURES=+avx2,+fma
ENV NUMBA_CPU_NAME=${NUMBA_CPU_NAME} NUMBA_CPU_FEATURES=${NUMBA_CPU_FEATURES} \
    NUMBA_CACHE_DIR=/opt/headrace/kernels OMP_NUM_THREADS=1
RUN cd /tmp && python -m services.warming

FROM ${PYTHON_IMAGE}
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="Headrace" \
      org.opencontainers.image.description="Event-driven, streaming, monitor-and-retrain machine learning" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
ARG NUMBA_CPU_NAME=x86-64-v3
ARG NUMBA_CPU_FEATURES=+avx2,+fma
# numba refuses a cache that it cannot write to, also when nothing is missing in it. So the compiled
# kernels lie in /opt/headrace/kernels, and whoever makes the root file system read-only mounts a
# writable copy over it: a named volume is filled from here, in Kubernetes an init container copies.
ENV PATH=/opt/headrace/venv/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 \
    NUMBA_CPU_NAME=${NUMBA_CPU_NAME} NUMBA_CPU_FEATURES=${NUMBA_CPU_FEATURES} \
    NUMBA_CACHE_DIR=/opt/headrace/kernels OMP_NUM_THREADS=1
RUN groupadd --gid 10001 headrace && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /var/lib/headrace headrace \
 && install -d -o headrace -g headrace -m 0750 /var/lib/headrace /var/lib/headrace/data /var/lib/headrace/blobs /var/lib/headrace/keys
COPY --from=build /opt/headrace/venv /opt/headrace/venv
COPY --from=build --chown=10001:10001 /opt/headrace/kernels /opt/headrace/kernels
USER 10001:10001
WORKDIR /var/lib/headrace
EXPOSE 8765
STOPSIGNAL SIGTERM
# Not `headrace`: that would load all libraries every time.
HEALTHCHECK --interval=10s --timeout=5s --start-period=90s --retries=3 \
  CMD ["python", "-I", "-S", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:8765/health/live', timeout=3)"]
ENTRYPOINT ["headrace"]
CMD ["--help"]
