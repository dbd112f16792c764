# docker build -t gridproof .
# The image that emitted compose files name; also: docker run --rm -v "$PWD:/work" gridproof gridproof studies
FROM python:3.12-slim

# OpenDSS and HELICS come as wheels; they ask for OpenMP alone.
RUN apt-get update \
 && apt-get install -y --no-install-recommends libgomp1 \
 && rm -rf /var/lib/apt/lists/*

WORKDIR /src
COPY requirements.lock requirements-build.lock ./
RUN pip install --no-cache-dir --require-hashes -r requirements.lock -r requirements-build.lock

COPY . .
RUN pip install --no-cache-dir --no-index --no-build-isolation --no-deps .

WORKDIR /work
CMD ["gridproof", "--help"]
