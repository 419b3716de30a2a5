//! The JSON Schema of what the files may hold, generated from the types that read them, so that it can't disagree.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema, schema_for};

use super::{Port, ProjectConfig, Settings, Written};

/// Of `.clawker.yaml`.
pub fn project_schema() -> Schema {
    schema_for!(ProjectConfig)
}

/// Of `settings.yaml`.
pub fn settings_schema() -> Schema {
    schema_for!(Settings)
}

impl<T: JsonSchema> JsonSchema for Written<T> {
    fn schema_name() -> Cow<'static, str> {
        T::schema_name()
    }
    fn schema_id() -> Cow<'static, str> {
        T::schema_id()
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        T::json_schema(generator)
    }
    fn inline_schema() -> bool {
        T::inline_schema()
    }
}

impl JsonSchema for Port {
    fn schema_name() -> Cow<'static, str> {
        "Port".into()
    }
    fn json_schema(_generator: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "A port, or a range like \"9000-9100\"",
            "anyOf": [
                { "type": "integer", "minimum": 1, "maximum": 65535 },
                { "type": "string", "pattern": "^[0-9]+(-[0-9]+)?$" }
            ]
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `CLAWKER_WRITE_EXPECTED=1` writes them anew, to be read before they are committed.
    #[test]
    fn the_schemas_in_the_docs_are_current() {
        for (name, schema) in
            [("clawker.schema.json", project_schema()), ("settings.schema.json", settings_schema())]
        {
            let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs").join(name);
            let text = format!("{}\n", serde_json::to_string_pretty(&schema).unwrap());
            if std::env::var_os("CLAWKER_WRITE_EXPECTED").is_some() {
                std::fs::write(&path, &text).unwrap();
            }
            assert_eq!(std::fs::read_to_string(&path).unwrap(), text, "{name}");
        }
    }

    #[test]
    fn a_key_that_is_none_is_none_in_the_schema_either() {
        let schema = serde_json::to_value(project_schema()).unwrap();
        assert_eq!(schema["additionalProperties"], false);
        for object in schema["$defs"].as_object().unwrap().values().filter(|one| one["type"] == "object") {
            assert_eq!(object["additionalProperties"], false, "{object}");
        }
    }
}
