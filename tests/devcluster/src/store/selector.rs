//! Label and field selectors, as lists and watches take them.

use serde_json::Value;

/// A selector that cannot be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SelectorError {
    #[error("unable to parse requirement: {0}")]
    Label(String),
    #[error("field label not supported: {0}")]
    Field(String),
}

/// What an object must have to be listed; empty matches all.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Selector {
    labels: Vec<Requirement>,
    fields: Vec<Requirement>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Requirement {
    key: String,
    test: Test,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Test {
    In(Vec<String>),
    NotIn(Vec<String>),
    Exists,
    Missing,
}

/// The fields that a selector may name, and where they stand.
const FIELDS: [(&str, &str); 8] = [
    ("metadata.name", "/metadata/name"),
    ("metadata.namespace", "/metadata/namespace"),
    ("spec.nodeName", "/spec/nodeName"),
    ("spec.restartPolicy", "/spec/restartPolicy"),
    ("spec.schedulerName", "/spec/schedulerName"),
    ("spec.serviceAccountName", "/spec/serviceAccountName"),
    ("status.phase", "/status/phase"),
    ("status.podIP", "/status/podIP"),
];

impl Selector {
    /// Reads both selectors; an empty text selects everything.
    pub(crate) fn parse(labels: &str, fields: &str) -> Result<Self, SelectorError> {
        Ok(Self {
            labels: split_outside_parentheses(labels).map(label_requirement).collect::<Result<_, _>>()?,
            fields: fields
                .split(',')
                .filter(|part| !part.is_empty())
                .map(field_requirement)
                .collect::<Result<_, _>>()?,
        })
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.labels.is_empty() && self.fields.is_empty()
    }

    pub(crate) fn matches(&self, object: &Value) -> bool {
        let labels = &object["metadata"]["labels"];
        let label = |key: &str| labels.get(key).and_then(Value::as_str);
        let field = |key: &str| {
            let pointer = FIELDS.iter().find(|(name, _)| *name == key).map_or("", |(_, pointer)| pointer);
            Some(object.pointer(pointer).and_then(Value::as_str).unwrap_or(""))
        };
        self.labels.iter().all(|requirement| requirement.test.holds(label(&requirement.key)))
            && self.fields.iter().all(|requirement| requirement.test.holds(field(&requirement.key)))
    }
}

impl Test {
    fn holds(&self, value: Option<&str>) -> bool {
        match self {
            Self::In(values) => value.is_some_and(|value| values.iter().any(|one| one == value)),
            Self::NotIn(values) => value.is_none_or(|value| values.iter().all(|one| one != value)),
            Self::Exists => value.is_some(),
            Self::Missing => value.is_none(),
        }
    }
}

fn label_requirement(text: &str) -> Result<Requirement, SelectorError> {
    let text = text.trim();
    let requirement = |key: &str, test| Requirement { key: key.trim().to_owned(), test };
    if let Some((key, value)) = text.split_once("!=") {
        return Ok(requirement(key, Test::NotIn(vec![value.trim().to_owned()])));
    }
    if let Some((key, value)) = text.split_once("==").or_else(|| text.split_once('=')) {
        return Ok(requirement(key, Test::In(vec![value.trim().to_owned()])));
    }
    if let Some((key, values)) = set_of(text, " notin ") {
        return Ok(requirement(key, Test::NotIn(values)));
    }
    if let Some((key, values)) = set_of(text, " in ") {
        return Ok(requirement(key, Test::In(values)));
    }
    match text.strip_prefix('!') {
        Some(key) => Ok(requirement(key, Test::Missing)),
        None if text.is_empty() || text.contains(char::is_whitespace) => Err(SelectorError::Label(text.to_owned())),
        None => Ok(requirement(text, Test::Exists)),
    }
}

fn set_of<'a>(text: &'a str, word: &str) -> Option<(&'a str, Vec<String>)> {
    let (key, rest) = text.split_once(word)?;
    let inside = rest.trim().strip_prefix('(')?.strip_suffix(')')?;
    Some((key, inside.split(',').map(|value| value.trim().to_owned()).collect()))
}

fn field_requirement(text: &str) -> Result<Requirement, SelectorError> {
    let unsupported = || SelectorError::Field(text.to_owned());
    let (key, test) = if let Some((key, value)) = text.split_once("!=") {
        (key, Test::NotIn(vec![value.to_owned()]))
    } else {
        let (key, value) = text.split_once("==").or_else(|| text.split_once('=')).ok_or_else(unsupported)?;
        (key, Test::In(vec![value.to_owned()]))
    };
    if FIELDS.iter().all(|(name, _)| *name != key) {
        return Err(SelectorError::Field(key.to_owned()));
    }
    Ok(Requirement { key: key.to_owned(), test })
}

fn split_outside_parentheses(text: &str) -> impl Iterator<Item = &str> {
    let mut depth = 0_usize;
    text.split(move |c| {
        match c {
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            _ => (),
        }
        c == ',' && depth == 0
    })
    .filter(|part| !part.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn selects(labels: &str, fields: &str) -> bool {
        let pod =
            json!({"metadata": {"name": "bb", "namespace": "default", "labels": {"app": "web", "tier": "front"}}});
        Selector::parse(labels, fields).expect("is a selector").matches(&pod)
    }

    #[test]
    fn label_requirements_select_by_equality_sets_and_presence() {
        for yes in ["", "app=web", "app==web", "app!=db", "app in (web, db),tier", "app notin (db)", "!zone", "zone!=a"]
        {
            assert!(selects(yes, ""), "{yes}");
        }
        for no in ["app=db", "app!=web", "zone", "!app", "app in (db)", "app notin (web)", "app=web,tier=back"] {
            assert!(!selects(no, ""), "{no}");
        }
    }

    #[test]
    fn field_requirements_select_by_name() {
        assert!(selects("", "metadata.name=bb"));
        assert!(selects("", "metadata.namespace=default,metadata.name!=cc"));
        assert!(!selects("", "metadata.name=cc"));
        assert!(Selector::parse("", "spec.nope=1").is_err());
    }
}
