# The same images as local/images.py makes without Docker: paths, user and entrypoint are the same.
#   docker build --target operator -t dynamiq.local/operator:0.1.0 .
#   docker build --target recorder -t dynamiq.local/recorder:0.1.0 .
#   docker build --target runtime  -t dynamiq.local/runtime:0.1.0 .
#   docker build --target runtime-sdk -t dynamiq.local/runtime-sdk:0.1.0 .
# A release's images are made without Docker (`make release`), on packages of Debian by their hashes. Here the base is Docker's, by its digest: the
# tag beside it is for readers. What else differs between two builds are times:
#   docker buildx build --build-arg SOURCE_DATE_EPOCH=$(git log -1 --format=%ct) --output type=oci,dest=operator.tar,rewrite-timestamp=true --target operator .
FROM python:3.11.16-slim-bookworm@sha256:a36c24f9cbdf4fd0f52d67f0823eeac19c2028c637cecc392d97f980d4fec56b AS base
ENV PYTHONPATH=/app PYTHONDONTWRITEBYTECODE=1 PYTHONSAFEPATH=1 PYTHONUNBUFFERED=1 PYTHONUTF8=1 HOME=/tmp
# useradd would write the day of the build into /etc/shadow
RUN echo nonroot:x:65532:65532::/tmp:/sbin/nologin >>/etc/passwd && echo nonroot:x:65532: >>/etc/group

FROM base AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore PYTHONHASHSEED=0

FROM build AS build-runtime
COPY locks/runtime.txt /locks/
RUN pip install --quiet --no-deps --require-hashes --only-binary :all: --no-compile --target /app -r /locks/runtime.txt \
    && rm -rf /app/bin
COPY operator/dynamiq_runtime /app/dynamiq_runtime
# compileall fails on a package's own broken test data; such a file stays uncompiled
RUN python -m compileall -q --invalidation-mode unchecked-hash /app || true

FROM build AS build-runtime-sdk
COPY locks/sdk.txt /locks/
# these two have no wheel; they are built by the image's own setuptools, since one that pip fetched would be of no lock
RUN pip install --quiet --no-deps --require-hashes --only-binary :all: --no-binary antlr4-python3-runtime,rouge-score --no-build-isolation \
        --no-compile --target /app -r /locks/sdk.txt \
    && rm -rf /app/bin
COPY operator/dynamiq_runtime /app/dynamiq_runtime
RUN python -m compileall -q --invalidation-mode unchecked-hash /app || true

# the console, by the Node and the npm that the lock names; npm takes its packages by the hashes of package-lock.json
FROM build AS build-console
COPY locks/console.txt /locks/
RUN pip install --quiet --no-deps --require-hashes --only-binary :all: -r /locks/console.txt
WORKDIR /src/operator/console
COPY operator/console/package.json operator/console/package-lock.json operator/console/.npmrc ./
RUN npm ci
COPY operator/console ./
RUN npm run build

FROM build AS build-operator
COPY locks/operator.txt /locks/
RUN pip install --quiet --no-deps --require-hashes --only-binary :all: --no-compile --target /app -r /locks/operator.txt \
    && rm -rf /app/bin /app/kubernetes/docs /app/kubernetes/test /app/kubernetes/e2e_test
COPY operator/dynamiq_operator /app/dynamiq_operator
COPY --from=build-console /src/operator/dynamiq_operator/rest/static /app/dynamiq_operator/rest/static
RUN python -m compileall -q --invalidation-mode unchecked-hash /app || true

# the recorder, with what it has of the operator: its models, the pins of a row, and the API client
FROM build AS build-recorder
COPY locks/recorder.txt /locks/
RUN pip install --quiet --no-deps --require-hashes --only-binary :all: --no-compile --target /app -r /locks/recorder.txt \
    && rm -rf /app/bin
COPY operator/dynamiq_recorder /app/dynamiq_recorder
COPY operator/dynamiq_operator/__init__.py operator/dynamiq_operator/py.typed /app/dynamiq_operator/
COPY operator/dynamiq_operator/model /app/dynamiq_operator/model
COPY operator/dynamiq_operator/desired /app/dynamiq_operator/desired
COPY operator/dynamiq_operator/kube /app/dynamiq_operator/kube
COPY operator/dynamiq_operator/serving /app/dynamiq_operator/serving
RUN python -m compileall -q --invalidation-mode unchecked-hash /app || true

FROM base AS runtime
COPY --from=build-runtime /app /app
USER 65532
ENTRYPOINT ["/usr/local/bin/python3", "-m", "dynamiq_runtime"]
CMD ["serve"]

FROM base AS runtime-sdk
COPY --from=build-runtime-sdk /app /app
USER 65532
ENTRYPOINT ["/usr/local/bin/python3", "-m", "dynamiq_runtime"]
CMD ["serve"]

FROM base AS operator
COPY --from=build-operator /app /app
USER 65532
ENTRYPOINT ["/usr/local/bin/python3", "-m", "dynamiq_operator"]
CMD ["run"]

FROM base AS recorder
COPY --from=build-recorder /app /app
USER 65532
ENTRYPOINT ["/usr/local/bin/python3", "-m", "dynamiq_recorder"]
CMD ["serve"]
