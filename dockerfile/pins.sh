# What the images are made of: one place for every version, checksum and published reference. Sourced, never run.
# A digest stands here only where it was seen published (docs/adr/0008-where-the-parts-come-from.md).

DEBIAN_SUITE=bookworm
DEBIAN_REF=debian:bookworm-slim@sha256:96e378d7e6531ac9a15ad505478fcc2e69f371b10f5cdf87857c4b8188404716

# The wheel's checksums are in envoy/requirements.txt.
ENVOY_VERSION=1.40.0
ENVOY_REF=envoyproxy/envoy:distroless-v1.40.0

COREDNS_VERSION=1.15.0
COREDNS_REF=coredns/coredns:1.15.0

# Debian's Go, for where there is none.
GO_SUITE=trixie-backports
GO_SERIES=1.26

CLAUDE_VERSION=2.1.197
CLAUDE_SHA512_x64=ac894a9ab63440cc8780f457fcc616363d37f6f6f2a480af23d8d57b7aecf57cb64673649724a3c8fc6a87ad9069dce7ce87ed10edb7b98435b4578f710fff6e
CLAUDE_SHA512_arm64=b31e92a068f730d479095f980e436d6cb1d76b5b67dc6f2a7181609b5827bce8bd38341429b8623df6a79097e44cc0d57a43af9ca2619ba8bd8461483f3a7b71
