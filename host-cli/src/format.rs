//! `--format`: a template of the user's over the fields that `--json` has. Jinja's language; as people know it from Docker,
//! a field may have a dot before it.

use minijinja::value::{Serde, ValueKind};
use minijinja::{Environment, ErrorKind, UndefinedBehavior};
use serde_json::Value;

use crate::exit::{self, Failure};
use crate::output;

const NAME: &str = "--format";

/// A template that was read.
#[derive(Debug)]
pub struct Format(Environment<'static>);

impl Format {
    /// Reads one. `\t` and `\n` are a tab and a new line.
    ///
    /// # Errors
    /// What is wrong with it, and where.
    pub fn parse(template: &str) -> Result<Self, Failure> {
        let mut environment = Environment::new();
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        environment.set_formatter(|out, _, value| {
            let text = match value.kind() {
                ValueKind::None => String::new(),
                ValueKind::String => output::escape_lines(&value.to_string()),
                ValueKind::Bool | ValueKind::Seq | ValueKind::Map => output::json(value).unwrap_or_default(),
                _ => value.to_string(),
            };
            Ok(out.write_str(&text)?)
        });
        let template = without_dots(&template.replace(r"\t", "\t").replace(r"\n", "\n"));
        environment.add_template_owned(NAME, template).map_err(|error| unreadable(&error))?;
        Ok(Self(environment))
    }

    /// A line for each entry of a list; one for anything else.
    ///
    /// # Errors
    /// A field that isn't there, with those that are.
    pub fn lines(&self, value: &Value) -> Result<Vec<String>, Failure> {
        match value {
            Value::Array(rows) => rows.iter().map(|row| self.line(row)).collect(),
            value => Ok(vec![self.line(value)?]),
        }
    }

    fn line(&self, row: &Value) -> Result<String, Failure> {
        let template = self.0.get_template(NAME).map_err(|error| unreadable(&error))?;
        template.render(Serde(row)).map_err(|error| match (error.kind(), row) {
            (ErrorKind::UndefinedError, Value::Object(fields)) => {
                let names: Vec<_> = fields.keys().map(String::as_str).collect();
                Failure::new(format!(
                    "--format asks for a field that isn't there; there are: {}",
                    names.join(", ")
                ))
            }
            _ => unreadable(&error),
        })
    }
}

fn unreadable(error: &minijinja::Error) -> Failure {
    Failure::new(format!("--format can't be used: {}", exit::chain(error)))
}

/// `{{.agent}}` as `{{ agent}}`.
fn without_dots(template: &str) -> String {
    let mut parts = template.split("{{");
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |text, part| {
        let bare = part.trim_start_matches('-').trim_start();
        let named = bare.strip_prefix('.').filter(|name| name.starts_with(|c: char| c.is_alphabetic()));
        let dash = if part.starts_with('-') { "-" } else { "" };
        named.map_or_else(|| format!("{text}{{{{{part}"), |name| format!("{text}{{{{{dash} {name}"))
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn lines(template: &str, value: &Value) -> Result<Vec<String>, String> {
        Format::parse(template).and_then(|format| format.lines(value)).map_err(|failure| failure.message)
    }

    #[test]
    fn a_row_is_a_line_of_its_fields() {
        let rows = json!([{"agent": "dev", "count": 2, "none": null}, {"agent": "b\u{1b}[2J", "count": 0, "none": null}]);
        for template in [
            "{{ agent }}\\t{{ count }}{{ none }}",
            "{{.agent}}\t{{ .count}}{{.none}}",
            "{{- .agent }}\t{{ count }}",
        ] {
            assert_eq!(lines(template, &rows).unwrap(), ["dev\t2", "b\\u{1b}[2J\t0"], "{template}");
        }
        let value = json!({"grants": ["a", "b"], "on": true, "deep": {"x": 1}});
        assert_eq!(lines("{{ grants | join(',') }} {{.on}} {{ deep.x }}", &value).unwrap(), ["a,b true 1"]);
        assert_eq!(lines("{{ grants }}{{ deep }}", &value).unwrap(), [r#"["a","b"]{"x":1}"#]);
        assert_eq!(lines("{% for g in grants %}{{ g }};{% endfor %}", &value).unwrap(), ["a;b;"]);
        assert!(lines("{{ agent }}", &json!([])).unwrap().is_empty());
    }

    #[test]
    fn what_is_wrong_with_it_is_told() {
        let told = lines("{{ agnet }}", &json!([{"agent": "dev", "dir": "/"}])).unwrap_err();
        assert!(told.ends_with("there are: agent, dir"), "{told}");
        assert!(lines("{{ agent", &json!([])).unwrap_err().contains("--format can't be used"));
    }
}
