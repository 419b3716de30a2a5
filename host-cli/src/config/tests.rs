//! What users get wrong, and what they are told.

use super::*;

fn project(text: &str) -> Result<ProjectConfig, String> {
    parse(Path::new("/p/.clawker.yaml"), text).map_err(|error| error.to_string())
}

#[test]
fn a_full_file_reads() {
    let config = project(
        "project: web\nagent:\n  env: {A: \"1\"}\n  command: [claude, -p]\nbuild:\n  image: x:1\nsecurity:\n  \
         extra_ca: [ca.pem]\n  firewall:\n    add_domains: [example.com, .example.org]\n    upstream_dns: [198.51.100.10]\n    \
         rules:\n      - {dst: github.com, proto: ssh}\n      - dst: 10.0.0.0/8\n        proto: tcp\n        port: \"5432-5433\"\n",
    )
    .unwrap();
    let rules = &config.security.firewall.rules;
    assert_eq!(rules[1].value.port, "5432-5433".parse().ok());
    assert_eq!(rules[1].line, 14);
    assert_eq!(config.security.firewall.add_domains[1].value, ".example.org");
    assert!(project("").is_ok());
}

#[test]
fn mistakes_name_file_line_key_and_the_way_out() {
    for (text, expected) in [
        ("securty: {}\n", "/p/.clawker.yaml:1:1: unknown key securty: did you mean security?"),
        (
            "security:\n  firewall:\n    rules:\n      - dst: a.b\n        prto: tls\n",
            "/p/.clawker.yaml:5:9: unknown key prto: did you mean proto?",
        ),
        (
            "security:\n  firewall:\n    rules:\n      - {dst: a.b, for: 10m}\n",
            "for: a timed rule is made by a command",
        ),
        ("project: a\nproject: b\n", "/p/.clawker.yaml:2:1: duplicate mapping key: project"),
        ("security:\n  firewall:\n    rules:\n      - {dst: a.b, port: 99999}\n", "number from 1 to 65535"),
        ("security:\n  firewall:\n    rules:\n      - {dst: a.b, port: -1}\n", "number from 1 to 65535"),
        ("security:\n  firewall:\n    rules:\n      - {dst: a.b, port: \"5-4\"}\n", "number from 1 to 65535"),
        ("security: [\n", "/p/.clawker.yaml:"),
        (
            "security: {firewall: {upstream_dns: [127.0.0.53]}}\n",
            "no container can reach a resolver at 127.0.0.53",
        ),
        ("agent:\n  command: ls\n", "/p/.clawker.yaml:2:12: a list is expected here, like [a, b]"),
        ("project: [a]\n", "/p/.clawker.yaml:1:10: a text is expected here; quote it"),
        ("- a\n", "/p/.clawker.yaml:1:1: keys with values are expected here, like key: value"),
        ("security:\n  firewall:\n    rules: [{proto: ssh}]\n", "the key dst is missing"),
        ("---\nproject: a\n---\nproject: b\n", ": one YAML document only; remove what follows"),
        ("security: {firewall: {upstream_dns: [\"::1\"]}}\n", "an IPv4 address is expected here"),
    ] {
        let message = project(text).unwrap_err();
        assert!(message.contains(expected), "{text:?}: {message}");
        assert_eq!(message.lines().count(), 1, "{message}");
    }
}

#[test]
fn settings_have_sane_bounds() {
    let settings = |text: &str| parse::<Settings>(Path::new("settings.yaml"), text);
    let read = settings("firewall: {bypass_default: 1m, enable: false}\n").unwrap();
    assert_eq!((read.firewall.bypass_default.as_secs(), read.firewall.enable), (60, false));
    assert_eq!(read.firewall.bypass_max.as_secs(), 3600);
    for text in [
        "firewall: {bypass_max: 0s}\n",
        "firewall: {bypass_max: soon}\n",
        "firewall: {bypas_max: 1s}\n",
        "firewall: {upstream_dns: []}\n",
        "firewall: {upstream_dns: [127.0.0.11]}\n",
        "firewall: {upstream_dns: [a.b]}\n",
    ] {
        assert!(settings(text).is_err(), "{text}");
    }
}
