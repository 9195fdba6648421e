//! Kubeconfigs that must be refused: what is wrong with each, the text, and what the refusal must say.

use std::fmt::Write;

/// One hostile kubeconfig.
pub(crate) struct Case {
    pub(crate) what: &'static str,
    pub(crate) text: String,
    pub(crate) says: &'static str,
}

const CLUSTER: &str = "server: https://api.example.org:6443";
const USER: &str = "token: abc";

/// A kubeconfig with these fields of its cluster and its user, a line each.
fn with(cluster: &str, user: &str) -> String {
    let indent = |fields: &str| fields.lines().flat_map(|line| ["    ", line, "\n"]).collect::<String>();
    format!(
        "apiVersion: v1\nkind: Config\ncurrent-context: here\ncontexts:\n- name: here\n  context:\n    cluster: one\n    \
         user: me\nclusters:\n- name: one\n  cluster:\n{}users:\n- name: me\n  user:\n{}",
        indent(cluster),
        indent(user)
    )
}

fn user(what: &'static str, fields: &str, says: &'static str) -> Case {
    Case { what, text: with(CLUSTER, fields), says }
}

fn cluster(what: &'static str, fields: &str, says: &'static str) -> Case {
    Case { what, text: with(&format!("{CLUSTER}\n{fields}"), USER), says }
}

fn server(what: &'static str, url: &str, says: &'static str) -> Case {
    Case { what, text: with(&format!("server: {url:?}"), USER), says }
}

fn whole(what: &'static str, text: impl Into<String>, says: &'static str) -> Case {
    Case { what, text: text.into(), says }
}

/// What a relay takes.
pub(crate) fn plain() -> String {
    with(CLUSTER, USER)
}

/// More than fifty.
pub(crate) fn all() -> Vec<Case> {
    [credentials(), files(), servers(), documents()].into_iter().flatten().collect()
}

fn credentials() -> Vec<Case> {
    let exec =
        "exec:\n  apiVersion: client.authentication.k8s.io/v1\n  command: /bin/sh\n  args: [-c, touch /tmp/owned]";
    vec![
        user("a program", exec, "runs a program"),
        user("a program besides a token", &format!("{USER}\n{exec}"), "runs a program"),
        user("an empty program", "token: abc\nexec: {}", "runs a program"),
        user("a program as JSON", "{\"exec\": {\"command\": \"id\"}}", "runs a program"),
        user("a program as a text", "exec: /bin/true", "runs a program"),
        user("an interactive program", "exec: {command: id, interactiveMode: Always}", "runs a program"),
        user(
            "Google's program",
            "auth-provider: {name: gcp, config: {cmd-path: /bin/sh, cmd-args: -c id}}",
            "auth-provider",
        ),
        user("OIDC", "auth-provider: {name: oidc, config: {idp-issuer-url: http://169.254.169.254}}", "auth-provider"),
        user("somebody else", "token: abc\nas: admin", "acts as somebody else (`as`)"),
        user("a group", "token: abc\nas-groups: [system:masters]", "acts as somebody else (`as-groups`)"),
        user("another's uid", "token: abc\nas-uid: x", "acts as somebody else (`as-uid`)"),
        user("another's extras", "token: abc\nas-user-extra: {a: [b]}", "acts as somebody else (`as-user-extra`)"),
        user("a password", "username: admin\npassword: secret", "user name and a password"),
        user("a password alone", "password: secret", "user name and a password"),
        user("nothing", "token: ''", "no token and no client certificate"),
        user("half a certificate", "client-certificate-data: QUJD", "no token and no client certificate"),
        user("both", "token: abc\nclient-certificate-data: QUJD\nclient-key-data: QUJD", "keep one of the two"),
        user(
            "a certificate that is none",
            "client-certificate-data: QUJD\nclient-key-data: QUJD",
            "client certificate",
        ),
        user("a key that is no base64", "client-certificate-data: QUJD\nclient-key-data: '***'", "is not base64"),
        user("a token with a line break", "token: \"a\\r\\nImpersonate-User: admin\"", "line breaks"),
        user("a token with a space", "token: 'a b'", "spaces"),
        user("a token that is a number", "token: 12345", "put it in quotes"),
        user("a token that is a list", "token: [a]", "put it in quotes"),
        user("a field of tomorrow", "token: abc\nrun-before: /bin/sh", "run-before"),
        user("a field in disguise", "token: abc\n\"to\\u212Aen\": abc", "is not known here"),
    ]
}

fn files() -> Vec<Case> {
    vec![
        user("a token file", "tokenFile: /etc/shadow", "`tokenFile`"),
        user("a token file besides a token", "token: abc\ntokenFile: /var/run/secrets/token", "`tokenFile`"),
        user(
            "a certificate file",
            "client-certificate: ../../data/ca.pem\nclient-key-data: QUJD",
            "`client-certificate`",
        ),
        user("a key file", "client-certificate-data: QUJD\nclient-key: /data/ca.key", "`client-key`"),
        cluster("a CA file", "certificate-authority: /etc/passwd", "`certificate-authority`"),
        cluster("a CA file on a device", "certificate-authority: /dev/zero", "`certificate-authority`"),
        cluster("a proxy", "proxy-url: http://169.254.169.254:80", "proxy"),
        cluster("a SOCKS proxy", "proxy-url: socks5://127.0.0.1:1080", "proxy"),
        cluster("no check of certificates", "insecure-skip-tls-verify: true", "switches off the check"),
        cluster("no check, in other words", "insecure-skip-tls-verify: \"yes\"", "switches off the check"),
        cluster("a CA that is no base64", "certificate-authority-data: '%%%'", "is not base64"),
        cluster(
            "a CA that is no certificate",
            "certificate-authority-data: bm90IGEgY2VydGlmaWNhdGU=",
            "not a PEM text",
        ),
        cluster("a TLS name that is none", "tls-server-name: \"a b\"", "tls-server-name"),
        cluster("a TLS name that is an address", "tls-server-name: 127.0.0.1", "tls-server-name"),
        cluster("a field of tomorrow", "unix-socket: /run/docker.sock", "unix-socket"),
    ]
}

fn servers() -> Vec<Case> {
    vec![
        server("plain http", "http://api.example.org", "must begin with https://"),
        server("a file", "file:///etc/passwd", "must begin with https://"),
        server("a socket", "unix:///run/docker.sock", "must begin with https://"),
        server("credentials in the address", "https://user:password@api.example.org", "user name or a password"),
        server("a query", "https://api.example.org/?x=y", "without ? and #"),
        server("a way up", "https://api.example.org/a/../../b", "path"),
        server("a header", "https://api.example.org/\r\nX: y", "control characters"),
        server("a number", "https://2130706433", "unusual form"),
        server("a hexadecimal number", "https://0x7f.1", "unusual form"),
        server("an octal number", "https://0177.0.0.1", "unusual form"),
        server("a zone", "https://[fe80::1%25lo]", "no IPv6 address"),
        server("nothing", "", "has no server"),
    ]
}

fn documents() -> Vec<Case> {
    let plain = plain();
    let laughs = (1..=9).fold("a0: &a0 [x, x, x, x, x, x, x, x, x]\n".to_owned(), |mut text, level| {
        let before = format!("*a{}", level - 1);
        let _never_fails = writeln!(text, "a{level}: &a{level} [{}]", [before.as_str(); 9].join(", "));
        text
    });
    let nested = format!("{plain}preferences: {}{}\n", "[".repeat(200), "]".repeat(200));
    let many = format!("{plain}preferences: [{}]\n", "1, ".repeat(20_000));
    let entry = |kind: &str, name: &str| format!("- name: {name}\n  {kind}:\n");
    let two_users = format!("{plain}{}    token: other\n", entry("user", "me"));
    vec![
        whole("too long", format!("{plain}# {}", "x".repeat(64 * 1024)), "longer than 64 KiB"),
        whole("a bomb of aliases", format!("{laughs}{plain}"), "anchors, aliases"),
        whole("one alias", format!("token: &t abc\n{plain}other: *t\n"), "anchors, aliases"),
        whole("a merge key", plain.replace("    token: abc", "    <<: {token: abc}"), "kubeconfig"),
        whole("deep nesting", nested, "nested too deeply"),
        whole("many values", many, "too"),
        whole("NUL", format!("{plain}x: \0\n"), "control characters"),
        whole("an escape sequence", format!("{plain}x: \u{1b}[2J\n"), "control characters"),
        whole("a key twice", plain.replace("    token: abc", "    token: abc\n    token: def"), "a key twice"),
        whole("a section twice", format!("{plain}users: []\n"), "a key twice"),
        whole("a user twice", two_users, "two entries named the same"),
        whole("two documents", format!("{plain}---\n{plain}"), "more than one YAML document"),
        whole("no document", "", "no kubeconfig"),
        whole("a scalar", "hello", "no kubeconfig"),
        whole("a list", "[1, 2]", "no kubeconfig"),
        whole("broken YAML", "apiVersion: [", "no kubeconfig"),
        whole("another kind", plain.replace("kind: Config", "kind: Secret"), "no kubeconfig"),
        whole("another version", plain.replace("apiVersion: v1", "apiVersion: v2"), "no kubeconfig"),
        whole("a tag", plain.replace("token: abc", "token: !include /etc/passwd"), "kubeconfig"),
        whole("no context", plain.replace("current-context: here", "current-context: ''"), "names no current-context"),
        whole(
            "a context that is not there",
            plain.replace("current-context: here", "current-context: x"),
            "has no context",
        ),
        whole("a cluster that is not there", plain.replace("cluster: one", "cluster: two"), "has no cluster"),
        whole("a user that is not there", plain.replace("user: me", "user: you"), "has no user"),
    ]
}
