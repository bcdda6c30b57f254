# One image for every Sensorium binary; a service names the one it runs as its entrypoint.
# Builds with BuildKit and with the classic builder: no frontend directive, no mounts, no heredocs.
ARG RUST_VERSION=1.95

# The workspace without its sources: every manifest, and an empty program for every file that a manifest
# may name. The layer that compiles the dependencies rests on this, so editing a source leaves it cached.
FROM debian:bookworm-slim AS manifests
WORKDIR /src
COPY Cargo.toml Cargo.lock ./
COPY crates crates
RUN find crates -type f ! -name Cargo.toml ! -name '*.rs' -delete \
 && find crates -path '*/src/*' -type f ! -path 'crates/*/src/bin/*' \
      ! -path 'crates/*/src/lib.rs' ! -path 'crates/*/src/main.rs' -delete \
 && find crates -path 'crates/*/tests/*/*' -type f ! -name main.rs -delete \
 && find crates -type d -empty -delete \
 && echo 'fn main() {}' | tee $(find crates -name '*.rs') >/dev/null

# rust-toolchain.toml stays out of the build context: the image is the toolchain, and a channel written
# otherwise (1.95 or 1.95.0) would make rustup download a second one.
FROM rust:${RUST_VERSION}-bookworm AS build
WORKDIR /src
ENV CARGO_PROFILE_RELEASE_DEBUG=false
COPY --from=manifests /src ./
RUN cargo build --release --locked -p producer -p consumer -p analytics -p audit -p dlq -p fleet \
      -p report
# Files keep the time of the checkout, which may lie before the layer above: touched, they count as new.
COPY crates crates
COPY infra/analytics infra/analytics
RUN find crates -name '*.rs' -exec touch {} + \
 && cargo build --release --frozen -p producer -p consumer -p analytics -p audit -p dlq -p fleet \
      -p report

FROM debian:bookworm-slim
LABEL org.opencontainers.image.title="Sensorium" \
      org.opencontainers.image.description="A simulated fleet of sensors, through Kafka, into Cassandra" \
      org.opencontainers.image.licenses="Apache-2.0"
# The number is fixed so that a volume written by one version of the image belongs to the next.
RUN groupadd --gid 10001 sensorium \
 && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin sensorium \
 && install -d -o sensorium -g sensorium /var/lib/sensorium/runs
COPY --from=build /src/target/release/producer /src/target/release/consumer /src/target/release/analytics \
     /src/target/release/audit /src/target/release/dlq /src/target/release/fleet /src/target/release/report \
     /usr/local/bin/
USER 10001:10001
CMD ["producer"]
