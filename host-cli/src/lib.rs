//! The `clawker` command: builds and runs agents, keeps Envoy and CoreDNS up, toggles one container's firewall.
