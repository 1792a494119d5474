# An image of s4, s4-s3 and s4-server: docker build -t s4 .
#
# The cluster file is /etc/s4/s4.conf, the data directory /data, the user 4000:4000,
# whose commands are Debian's: bash, coreutils, grep, sed, mawk, findutils. What tasks
# need beyond that, an image FROM this one installs.
# See scripts/compose.yaml and scripts/k8s.yaml.

FROM golang:1.26-bookworm AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
RUN CGO_ENABLED=0 go build -trimpath -o /out/ ./cli/s4 ./cli/s4-s3 ./cli/s4-server

FROM debian:bookworm-slim
# tini reaps what tasks leave behind: the server is not made to be process 1. S3 is
# reached over TLS, for which s4-s3 wants certificates.
RUN apt-get update \
    && apt-get install -y --no-install-recommends ca-certificates tini \
    && rm -rf /var/lib/apt/lists/* \
    && groupadd --gid 4000 s4 \
    && useradd --uid 4000 --gid 4000 --no-create-home --home-dir /data s4 \
    && install -d -o s4 -g s4 -m 0700 /data
COPY --from=build /out/s4 /out/s4-s3 /out/s4-server /usr/local/bin/
ENV S4_CONF_PATH=/etc/s4/s4.conf
USER 4000:4000
WORKDIR /data
VOLUME /data
EXPOSE 4000 9464
# Of all servers in the cluster file, this one: its line begins with the host's name.
HEALTHCHECK --interval=10s --timeout=5s --start-period=5m CMD s4 health 2>&1 | grep -q "^healthy $HOSTNAME:"
ENTRYPOINT ["tini", "--", "s4-server", "--dir", "/data"]
