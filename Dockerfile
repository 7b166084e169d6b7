# syntax=docker/dockerfile:1
# Static binaries, no shell, no user database: everything that hypermirror reads comes from flags, environment and API servers.
ARG RUST_IMAGE=docker.io/library/rust:1.95-alpine
FROM ${RUST_IMAGE} AS build
# ring compiles C and assembler. The target of this toolchain is musl: the binary is static.
RUN apk add --no-cache musl-dev gcc make perl
WORKDIR /src
COPY Cargo.toml Cargo.lock ./
COPY api ./api
COPY src ./src
# The workspace names the crates of the scenarios, of the benchmarks and of the fuzzer; they are not built.
COPY e2e/Cargo.toml ./e2e/Cargo.toml
COPY hack/bench/Cargo.toml ./hack/bench/Cargo.toml
COPY hack/fuzz/Cargo.toml ./hack/fuzz/Cargo.toml
RUN mkdir -p e2e/src hack/bench/src hack/fuzz/src && \
    touch e2e/src/lib.rs hack/bench/src/lib.rs hack/fuzz/src/lib.rs hack/fuzz/src/main.rs
# Packed relocations: the others are 1 MB that each start reads, and that stays resident. A C runtime that does not know them
# crashes at once, so it is tried here.
RUN --mount=type=cache,target=/usr/local/cargo/registry --mount=type=cache,target=/src/target \
    for program in hypermirror hypermirror-agent; do \
      cargo rustc --release --locked --bin "$program" -- -C link-arg=-Wl,-z,pack-relative-relocs && \
      cp "target/release/$program" "/$program" && "/$program" --version || exit 1; \
    done

FROM scratch
ARG VERSION=dev
ARG REVISION=unknown
ARG CREATED=unknown
LABEL org.opencontainers.image.title="hypermirror" \
      org.opencontainers.image.description="Image mirrors for HyperShift fleets" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.source="https://github.com/hypermirror/hypermirror" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.created="${CREATED}"
COPY --from=build /hypermirror /hypermirror-agent /usr/local/bin/
COPY LICENSE /LICENSE
USER 65532:65532
# 8080: metrics, 8081: health
EXPOSE 8080 8081
ENTRYPOINT ["/usr/local/bin/hypermirror"]
CMD ["manager"]
