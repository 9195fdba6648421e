//! Just enough protobuf to read an access review: kubectl writes it so, whatever the server says it prefers.

use serde_json::{Map, Value, json};

/// What every Kubernetes object in protobuf begins with.
pub(crate) const MAGIC: &[u8] = b"k8s\0";
/// The field of the envelope (`runtime.Unknown`) that holds the object.
const RAW: u64 = 2;
const SPEC: u64 = 2;
const RESOURCE_ATTRIBUTES: u64 = 1;
const PATH_ATTRIBUTES: u64 = 2;
const RESOURCE_FIELDS: [(u64, &str); 7] =
    [(1, "namespace"), (2, "verb"), (3, "group"), (4, "version"), (5, "resource"), (6, "subresource"), (7, "name")];
const PATH_FIELDS: [(u64, &str); 2] = [(1, "path"), (2, "verb")];

/// A `SelfSubjectAccessReview` as JSON, with its spec only; none if this is something else.
pub(crate) fn access_review(bytes: &[u8]) -> Option<Value> {
    let object = field(bytes.strip_prefix(MAGIC)?, RAW)?;
    let spec = field(object, SPEC)?;
    let mut out = Map::new();
    if let Some(attributes) = field(spec, RESOURCE_ATTRIBUTES) {
        out.insert("resourceAttributes".to_owned(), texts(attributes, &RESOURCE_FIELDS));
    }
    if let Some(attributes) = field(spec, PATH_ATTRIBUTES) {
        out.insert("nonResourceAttributes".to_owned(), texts(attributes, &PATH_FIELDS));
    }
    Some(json!({ "spec": out }))
}

fn texts(message: &[u8], names: &[(u64, &str)]) -> Value {
    let text = |number| field(message, number).map(String::from_utf8_lossy).filter(|text| !text.is_empty());
    names
        .iter()
        .filter_map(|(number, name)| Some(((*name).to_owned(), json!(text(*number)?))))
        .collect::<Map<_, _>>()
        .into()
}

/// The content of the first length-delimited field of that number.
fn field(mut message: &[u8], wanted: u64) -> Option<&[u8]> {
    while !message.is_empty() {
        let tag = varint(&mut message)?;
        let length = match tag & 7 {
            0 => {
                varint(&mut message)?;
                continue;
            }
            1 => 8,
            2 => usize::try_from(varint(&mut message)?).ok()?,
            5 => 4,
            _ => return None,
        };
        let (content, rest) = message.split_at_checked(length)?;
        if tag == wanted << 3 | 2 {
            return Some(content);
        }
        message = rest;
    }
    None
}

fn varint(message: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let (&byte, rest) = message.split_first()?;
        *message = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn delimited(number: u8, content: &[u8]) -> Vec<u8> {
        let length = u8::try_from(content.len()).expect("is short");
        [&[number << 3 | 2, length], content].concat()
    }

    #[test]
    fn a_review_is_read_through_its_envelope() {
        let attributes = [delimited(1, b"shop"), delimited(2, b"create"), delimited(5, b"pods")].concat();
        let review = [delimited(1, b""), delimited(2, &delimited(1, &attributes))].concat();
        let envelope = [MAGIC, &delimited(1, b"type"), &delimited(2, &review)].concat();
        let expected =
            json!({"spec": {"resourceAttributes": {"namespace": "shop", "verb": "create", "resource": "pods"}}});
        assert_eq!(access_review(&envelope), Some(expected));
    }

    #[test]
    fn anything_else_is_no_review() {
        for bytes in
            [b"".as_slice(), b"{}", b"k8s\0", b"k8s\0\x12\x7f", b"k8s\0\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"]
        {
            assert_eq!(access_review(bytes), None);
        }
    }
}
