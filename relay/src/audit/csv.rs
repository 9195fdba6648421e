//! Events as CSV (RFC 4180), for spreadsheets, which take some texts for formulas.

use super::body::{EventBody, NamedBody};
use super::escape::escape;

/// The first line, with its end.
pub const HEADER: &str = "position,id,at,action,outcome,actor_kind,actor_id,actor,user_id,user,cluster_id,cluster,\
     namespace,pod,container,session,sequence,command,client_ip,user_agent,details\r\n";

/// One line, with its end.
pub fn line(event: &EventBody) -> String {
    let some = |text: &Option<String>| text.clone().unwrap_or_default();
    let pair =
        |named: Option<&NamedBody>| named.map_or_else(Default::default, |named| (named.id.clone(), named.name.clone()));
    let ((user_id, user), (cluster_id, cluster)) = (pair(event.user.as_ref()), pair(event.cluster.as_ref()));
    let details = serde_json::Value::Object(event.details.clone()).to_string();
    let cells = [
        event.position.to_string(),
        event.id.clone(),
        event.at.to_string(),
        event.action.to_owned(),
        event.outcome.to_owned(),
        event.actor.kind.to_owned(),
        some(&event.actor.id),
        event.actor.name.clone(),
        user_id,
        user,
        cluster_id,
        cluster,
        some(&event.namespace),
        some(&event.pod),
        some(&event.container),
        some(&event.session),
        event.sequence.map(|sequence| sequence.to_string()).unwrap_or_default(),
        some(&event.command),
        some(&event.client_ip),
        some(&event.user_agent),
        details,
    ];
    let mut line = cells.iter().map(|text| cell(text)).collect::<Vec<_>>().join(",");
    line.push_str("\r\n");
    line
}

/// A cell: always quoted, so that no other separator a spreadsheet may use splits it.
fn cell(text: &str) -> String {
    let text = escape(text).replace('"', "\"\"");
    let guard = if is_formula(&text) { "'" } else { "" };
    format!("\"{guard}{text}\"")
}

/// Whether a spreadsheet might compute the text, which some do behind quotes and blanks as well. The apostrophe makes it
/// text. Tabs and line ends are escaped before.
fn is_formula(text: &str) -> bool {
    let bare = text.trim_start_matches(|c: char| c.is_whitespace() || matches!(c, '"' | '\'' | '`' | '\\'));
    bare.starts_with(['=', '+', '-', '@', '＝', '＋', '－', '＠', '|', '%']) || text.starts_with('\\')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_cell_is_a_formula() {
        for formula in
            ["=1+1", "+1", "-1", "@SUM(A1)", "\"=1", "\"\"=1", " =1", "'=1", "\t=1", "\r=1", "\n=1", "＝1", "|x"]
        {
            let cell = cell(formula);
            assert!(cell.starts_with("\"'"), "{formula:?} became {cell}");
        }
        assert_eq!(cell("ls -l =x"), "\"ls -l =x\"");
        assert_eq!(cell(""), "\"\"");
    }

    #[test]
    fn a_cell_keeps_to_itself() {
        assert_eq!(cell("a,b;c\t\"d\"\r\ne"), "\"a,b;c\\u0009\"\"d\"\"\\u000d\\u000ae\"");
        assert_eq!(cell("\u{1b}[31m"), "\"'\\u001b[31m\"");
    }

    #[test]
    fn the_header_names_every_cell() {
        assert_eq!(HEADER.trim_end().split(',').count(), 21);
        assert!(!HEADER.contains(' '));
    }
}
