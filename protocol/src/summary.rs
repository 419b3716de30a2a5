//! The policy as the agent may read it, as text: the host writes it, init passes it on as it is, `clawker-init why` reads
//! it. One line a rule, its path rules on lines below; fields by tabs, which no name and no path holds. Pure.

use std::fmt::Write as _;

/// What holds for a destination.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SummaryRule {
    /// The name, wildcard, address or range.
    pub dst: String,
    /// `tls`, `http`, `ssh` or `tcp`.
    pub proto: String,
    /// The port or range, as text.
    pub port: String,
    /// `allow` or `deny`.
    pub action: String,
    /// When it ends by itself: milliseconds since 1970, UTC. `None` is never.
    pub expires: Option<u64>,
    /// What holds for every path that no rule below names: `allow` or `deny`; empty when nothing is said of paths.
    pub path_default: String,
    /// What holds for which paths. The longest named part decides, deny among equals.
    pub paths: Vec<SummaryPath>,
}

/// A rule for paths.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SummaryPath {
    /// `allow` or `deny`.
    pub action: String,
    /// For these methods only; for all when there are none.
    pub methods: Vec<String>,
    /// A prefix, or `~` and a pattern.
    pub path: String,
}

/// The text.
pub fn write(rules: &[SummaryRule]) -> String {
    let mut text = String::new();
    for rule in rules {
        let expires = rule.expires.map(|end| end.to_string()).unwrap_or_default();
        let SummaryRule { dst, proto, port, action, path_default, .. } = rule;
        let _ = writeln!(text, "{dst}\t{proto}\t{port}\t{action}\t{expires}\t{path_default}");
        for SummaryPath { action, methods, path } in &rule.paths {
            let _ = writeln!(text, "\t{action}\t{}\t{path}", methods.join(","));
        }
    }
    text
}

/// The rules of a text; what is no line of one is left out.
pub fn parse(text: &str) -> Vec<SummaryRule> {
    let mut rules: Vec<SummaryRule> = Vec::new();
    for line in text.split_terminator('\n') {
        let mut fields = line.split('\t');
        let mut next = || fields.next().unwrap_or_default().to_owned();
        let dst = next();
        if !dst.is_empty() {
            let (proto, port, action, expires) = (next(), next(), next(), next().parse().ok());
            rules.push(SummaryRule {
                dst,
                proto,
                port,
                action,
                expires,
                path_default: next(),
                paths: Vec::new(),
            });
        } else if let Some(rule) = rules.last_mut() {
            let (action, methods) = (next(), next());
            let methods = methods.split(',').filter(|method| !method.is_empty()).map(str::to_owned).collect();
            rule.paths.push(SummaryPath { action, methods, path: next() });
        }
    }
    rules
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_is_read() {
        let path = |path: &str, methods: &[&str]| SummaryPath {
            action: "deny".to_owned(),
            methods: methods.iter().map(|method| (*method).to_owned()).collect(),
            path: path.to_owned(),
        };
        let rules = [
            SummaryRule {
                dst: ".a.test".to_owned(),
                proto: "tls".to_owned(),
                port: "443".to_owned(),
                action: "allow".to_owned(),
                path_default: "allow".to_owned(),
                paths: vec![path("/a b", &[]), path("~.*", &["GET", "PUT"])],
                ..SummaryRule::default()
            },
            SummaryRule { dst: "10.0.0.0/8".to_owned(), expires: Some(7), ..SummaryRule::default() },
        ];
        assert_eq!(parse(&write(&rules)), rules);
        let odd = parse("a.test\ttls\t443\tallow\t\tallow\r\n");
        assert_eq!(parse(&write(&odd)), odd);
        assert_eq!(parse("\tx\n"), Vec::new());
    }
}
