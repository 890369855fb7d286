//! The published JSON Schemas (draft 2020-12), made from the types themselves. The copies under `schema/`
//! are held against them in the tests.

use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, Schema};

use super::events::ndjson::Event;
use super::model::Document;

/// Schema of the JSON document.
#[must_use]
pub(crate) fn document() -> Schema {
    generate::<Document>("wsscan document")
}

/// Schema of one line of the event stream.
#[must_use]
pub(crate) fn event() -> Schema {
    generate::<Event>("wsscan event")
}

/// A schema as text, with a line end.
#[must_use]
pub(crate) fn text(schema: &Schema) -> String {
    format!("{:#}\n", schema.as_value())
}

fn generate<T: JsonSchema>(title: &str) -> Schema {
    let mut schema = SchemaSettings::draft2020_12().for_serialize().into_generator().into_root_schema_for::<T>();
    schema.insert("title".to_owned(), title.into());
    schema
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::{events::ndjson, sample};
    use super::*;

    /// Writes the copies anew when `UPDATE_SCHEMA` is set, and holds them against the types when not.
    fn committed(name: &str, schema: &Schema) {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("schema").join(name);
        if std::env::var_os("UPDATE_SCHEMA").is_some() {
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(&path, text(schema)).unwrap();
        }
        let copy = std::fs::read_to_string(&path).unwrap_or_default();
        assert_eq!(copy, text(schema), "schema/{name} is out of date: run the tests with UPDATE_SCHEMA=1");
    }

    #[test]
    fn committed_copies_are_current() {
        committed("wsscan.schema.json", &document());
        committed("event.schema.json", &event());
    }

    fn check(schema: &Schema, value: &Value) -> Vec<String> {
        let validator = jsonschema::draft202012::new(schema.as_value()).unwrap();
        validator.iter_errors(value).map(|error| format!("{}: {error}", error.instance_path())).collect()
    }

    #[test]
    fn the_schemas_are_schemas() {
        for schema in [document(), event()] {
            assert!(jsonschema::meta::is_valid(schema.as_value()));
            assert_eq!(schema.as_value()["$schema"], "https://json-schema.org/draft/2020-12/schema");
        }
    }

    #[test]
    fn documents_are_valid() {
        let value = serde_json::to_value(sample::document()).unwrap();
        assert_eq!(check(&document(), &value), Vec::<String>::new());
        let mut less = value.clone();
        for (object, member) in [
            ("/connections/0", "http"),
            ("/connections/0", "websocket"),
            ("/connections/0", "findings"),
            ("/capture", "first_time"),
            ("/capture", "limits"),
        ] {
            less.pointer_mut(object).unwrap().as_object_mut().unwrap().remove(member);
        }
        assert_eq!(check(&document(), &less), Vec::<String>::new(), "what is unknown is left out");
        let mut more = value;
        more["connections"][0]["added_later"] = json!(1);
        assert_eq!(check(&document(), &more), Vec::<String>::new(), "fields may be added");
    }

    #[test]
    fn wrong_documents_are_refused() {
        let value = serde_json::to_value(sample::document()).unwrap();
        for (path, wrong) in [
            ("/connections/0/outcome", json!("closed")),
            ("/connections/0/id", Value::Null),
            ("/connections/0/start", json!("2026-11-21T08:00:00Z")),
            ("/connections/0/websocket/close/client/code", json!(70_000)),
            ("/findings/0/severity", json!("fatal")),
            ("/summary/outcomes", json!({"closed": 1})),
            ("/relations/0/kind", json!("other")),
        ] {
            let mut document_value = value.clone();
            *document_value.pointer_mut(path).unwrap() = wrong;
            assert!(!check(&document(), &document_value).is_empty(), "{path}");
        }
        let mut missing = value;
        missing["connections"][0].as_object_mut().unwrap().remove("outcome");
        assert!(!check(&document(), &missing).is_empty(), "what is always known is there");
    }

    #[test]
    fn events_are_valid() {
        for line in ndjson::tests::every_event() {
            let value = serde_json::to_value(&line).unwrap();
            assert_eq!(check(&event(), &value), Vec::<String>::new(), "{value:#}");
        }
        assert!(!check(&event(), &json!({"event": "frame"})).is_empty());
        assert!(!check(&event(), &json!({"event": "unheard"})).is_empty());
    }
}
