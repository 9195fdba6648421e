//! `docs/SECURITY.md` names tests that prove what it says. They are there.

use std::fs;
use std::path::Path;

#[test]
fn every_test_that_the_security_page_names_is_there() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("a workspace");
    let page = fs::read_to_string(root.join("docs/SECURITY.md")).expect("reads");
    let (_, table) = page.split_once("## What went wrong elsewhere").expect("the table");
    let rows = table.lines().filter(|line| line.starts_with("| ") && line.contains('`'));
    let named: Vec<&str> = rows
        .filter_map(|row| row.trim_end_matches(" |").rsplit_once(" | "))
        .flat_map(|(_, tests)| tests.split('`').skip(1).step_by(2))
        .collect();
    assert!(named.len() > 60, "the table is read: {}", named.len());
    let mut sources = String::new();
    for folder in ["agent", "relay/src", "relay/tests", "relay/web/tests", "shared", "tests/e2e", "tests/browser/tests"]
    {
        read(&root.join(folder), &mut sources);
    }
    let there = |name: &str| sources.contains(&format!("fn {name}(")) || sources.contains(&format!("it('{name}'"));
    let missing: Vec<&str> = named.into_iter().filter(|name| !there(name)).collect();
    assert!(missing.is_empty(), "no such test: {missing:#?}");
}

fn read(folder: &Path, into: &mut String) {
    for entry in fs::read_dir(folder).expect("a folder").flatten() {
        let path = entry.path();
        if path.is_dir() {
            read(&path, into);
        } else if path.extension().is_some_and(|extension| extension == "rs" || extension == "ts") {
            into.push_str(&fs::read_to_string(&path).expect("reads"));
        }
    }
}
