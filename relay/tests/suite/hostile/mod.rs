//! Hostile kubeconfigs and hostile addresses: each refused for its reason, and nothing done on the way.

mod addresses;
mod kubeconfigs;
mod traced;

use podlatch_relay::public::kubeconfig;
use secrecy::SecretString;

#[test]
fn every_hostile_kubeconfig_is_refused_and_told_why() {
    let cases = kubeconfigs::all();
    assert!(cases.len() >= 50, "{} cases", cases.len());
    for case in cases {
        let error = kubeconfig::parse(&SecretString::from(case.text.clone())).expect_err(case.what).to_string();
        assert!(error.contains(case.says), "{}: {error}", case.what);
        assert!(!error.contains("owned") && !error.contains("abc"), "{} tells what it read: {error}", case.what);
    }
}

#[test]
fn a_plain_kubeconfig_is_taken_with_what_kubectl_writes_around_it() {
    let text = kubeconfigs::plain();
    for text in [
        text.clone(),
        format!("{text}preferences: {{}}\nextensions: []\n"),
        text.replace("    token: abc", "    token: abc\n    extensions: [{name: x, extension: {y: z}}]"),
        // Other contexts do not count, whatever is in them.
        text.replace("users:\n", "users:\n- name: other\n  user:\n    exec: {command: id}\n"),
        text.replace("clusters:\n", "clusters:\n- name: other\n  cluster:\n    server: http://127.0.0.1\n"),
    ] {
        let access = kubeconfig::parse(&SecretString::from(text.clone()));
        let access = access.unwrap_or_else(|error| panic!("{error}: {text}"));
        assert_eq!(access.server.url.to_string(), "https://api.example.org:6443");
        assert_eq!(access.credential.kind(), "token");
    }
}

#[test]
fn json_is_taken_too() {
    let text = r#"{"apiVersion":"v1","kind":"Config","current-context":"c","contexts":[{"name":"c","context":{"cluster":"k","user":"u"}}],
        "clusters":[{"name":"k","cluster":{"server":"https://203.0.113.9"}}],"users":[{"name":"u","user":{"token":"t"}}]}"#;
    kubeconfig::parse(&SecretString::from(text)).expect("is taken");
}
