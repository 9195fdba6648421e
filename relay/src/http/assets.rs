//! The console: files built by `relay/web`, embedded in the binary with their compressed forms.

use axum::response::{Html, IntoResponse, Response};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header};
use rust_embed::{Embed, EmbeddedFile};

use super::problem::{Problem, ProblemKind};

/// Where the build puts files whose names change with their content.
const HASHED_FOLDER: &str = "assets/";

const INDEX: &str = "index.html";

#[derive(Embed)]
#[folder = "$CARGO_MANIFEST_DIR/web/dist"]
struct Console;

/// Answers whatever no endpoint does: a file of the console, or its page for the addresses that the page itself reads.
pub async fn serve(method: Method, uri: Uri, headers: HeaderMap) -> Response {
    if !matches!(method, Method::GET | Method::HEAD) {
        return Problem::new(ProblemKind::MethodNotAllowed, "This address does not take this method.").into_response();
    }
    answer(&Console::get, uri.path(), &headers)
}

fn answer(files: &dyn Fn(&str) -> Option<EmbeddedFile>, path: &str, headers: &HeaderMap) -> Response {
    let name = path.trim_start_matches('/');
    let exact = content_type(name).and_then(|content_type| file(files, name, content_type, headers));
    let page = || {
        if !is_page(name, headers) {
            return None;
        }
        file(files, INDEX, "text/html; charset=utf-8", headers).or_else(|| Some(not_built()))
    };
    exact.or_else(page).unwrap_or_else(|| Problem::not_found("page").into_response())
}

/// A file, in the best form that the browser takes.
fn file(
    files: &dyn Fn(&str) -> Option<EmbeddedFile>,
    name: &str,
    content_type: &'static str,
    headers: &HeaderMap,
) -> Option<Response> {
    let compressed = [("br", "br"), ("gzip", "gz")].into_iter().find_map(|(encoding, suffix)| {
        let takes = accepts_encoding(headers, encoding);
        takes.then(|| files(&format!("{name}.{suffix}"))).flatten().map(|file| (Some(encoding), file))
    });
    let (encoding, file) = compressed.or_else(|| files(name).map(|file| (None, file)))?;

    let tag = format!("\"{}\"", hex::encode(&file.metadata.sha256_hash()[..16]));
    let mut response = if is_known(headers, &tag) {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        match file.data {
            std::borrow::Cow::Borrowed(bytes) => Bytes::from_static(bytes),
            std::borrow::Cow::Owned(bytes) => Bytes::from(bytes),
        }
        .into_response()
    };
    let answer = response.headers_mut();
    answer.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    answer.insert(header::VARY, HeaderValue::from_static("accept-encoding"));
    answer.insert(header::ETAG, HeaderValue::from_str(&tag).ok()?);
    let caching = if name.starts_with(HASHED_FOLDER) { "public, max-age=31536000, immutable" } else { "no-cache" };
    answer.insert(header::CACHE_CONTROL, HeaderValue::from_static(caching));
    if let Some(encoding) = encoding {
        answer.insert(header::CONTENT_ENCODING, HeaderValue::from_static(encoding));
    }
    Some(response)
}

/// The kinds of files that a build has. Compressed forms have none: they are not asked for by name.
fn content_type(name: &str) -> Option<&'static str> {
    Some(match name.rsplit_once('.')?.1 {
        "html" => "text/html; charset=utf-8",
        "js" => "text/javascript; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "ico" => "image/x-icon",
        "woff2" => "font/woff2",
        "json" | "map" => "application/json",
        "webmanifest" => "application/manifest+json",
        "txt" => "text/plain; charset=utf-8",
        _ => return None,
    })
}

/// Whether an address is one that the console's page reads by itself. A missing file is not: a page in place of a script
/// would hide what is wrong.
fn is_page(name: &str, headers: &HeaderMap) -> bool {
    let navigation = || {
        let values = headers.get_all(header::ACCEPT);
        values.iter().any(|value| value.to_str().is_ok_and(|value| value.contains("text/html")))
    };
    name.is_empty() || (!name.starts_with(HASHED_FOLDER) && navigation())
}

fn accepts_encoding(headers: &HeaderMap, encoding: &str) -> bool {
    let values = headers.get_all(header::ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).any(|offer| {
        let (name, parameters) = offer.split_once(';').unwrap_or((offer, ""));
        let refused = parameters.trim().strip_prefix("q=").is_some_and(|q| q.trim().parse() == Ok(0.0_f32));
        name.trim().eq_ignore_ascii_case(encoding) && !refused
    })
}

fn is_known(headers: &HeaderMap, tag: &str) -> bool {
    let values = headers.get_all(header::IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
    let mut tags = values.flat_map(|value| value.split(','));
    tags.any(|known| known.trim().trim_start_matches("W/") == tag || known.trim() == "*")
}

fn not_built() -> Response {
    let page = "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>Podlatch</title>\
                <h1>The console is not built</h1>\
                <p>This relay was built without its console. Run <code>npm ci</code> and <code>npm run build</code> in \
                <code>relay/web</code>, then build the relay again.</p></html>\n";
    (StatusCode::OK, Html(page)).into_response()
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use http_body_util::BodyExt;
    use rust_embed::Metadata;

    use super::*;
    use crate::http::testing::TestRelay;

    const FILES: [(&str, &str); 5] = [
        ("index.html", "the page"),
        ("assets/app-1a2b.js", "the script"),
        ("assets/app-1a2b.js.br", "BR"),
        ("assets/app-1a2b.js.gz", "GZ"),
        ("favicon.svg", "the icon"),
    ];

    fn files(name: &str) -> Option<EmbeddedFile> {
        let (name, data) = FILES.into_iter().find(|(known, _)| *known == name)?;
        let mut hash = [0; 32];
        hash[..name.len().min(16)].copy_from_slice(&name.as_bytes()[name.len().saturating_sub(16)..]);
        let metadata = Metadata::__rust_embed_new(hash, None, None);
        Some(EmbeddedFile { data: Cow::Borrowed(data.as_bytes()), metadata })
    }

    async fn get(path: &str, headers: &[(&'static str, &'static str)]) -> (u16, HeaderMap, String) {
        let headers = headers
            .iter()
            .map(|(name, value)| (http::HeaderName::from_static(name), HeaderValue::from_static(value)))
            .collect();
        let response = answer(&files, path, &headers);
        let (parts, body) = response.into_parts();
        let body = body.collect().await.expect("a body").to_bytes();
        (parts.status.as_u16(), parts.headers, String::from_utf8(body.to_vec()).expect("text"))
    }

    #[tokio::test]
    async fn the_best_form_that_the_browser_takes_is_sent() {
        for (accepted, encoding, body) in [
            ("gzip, deflate, br, zstd", Some("br"), "BR"),
            ("gzip", Some("gzip"), "GZ"),
            ("br;q=0, gzip;q=0.5", Some("gzip"), "GZ"),
            ("br;q=0.0,gzip;q=0", None, "the script"),
            ("identity", None, "the script"),
        ] {
            let (status, headers, text) = get("/assets/app-1a2b.js", &[("accept-encoding", accepted)]).await;
            assert_eq!((status, text.as_str()), (200, body), "{accepted}");
            assert_eq!(headers.get("content-encoding").map(HeaderValue::as_bytes), encoding.map(str::as_bytes));
            assert_eq!(headers["content-type"], "text/javascript; charset=utf-8");
            assert_eq!(headers["vary"], "accept-encoding");
        }
    }

    #[tokio::test]
    async fn hashed_files_are_kept_for_ever_and_the_page_is_asked_for_again() {
        let (_, headers, _) = get("/assets/app-1a2b.js", &[]).await;
        assert_eq!(headers["cache-control"], "public, max-age=31536000, immutable");
        let (_, headers, _) = get("/", &[]).await;
        assert_eq!(headers["cache-control"], "no-cache");
    }

    #[tokio::test]
    async fn what_the_browser_has_is_not_sent_again() {
        let (_, headers, _) = get("/favicon.svg", &[]).await;
        let tag: &'static str = headers["etag"].to_str().expect("text").to_owned().leak();
        let (status, headers, body) = get("/favicon.svg", &[("if-none-match", tag)]).await;
        assert_eq!((status, body.as_str(), headers["etag"].to_str().expect("text")), (304, "", tag));
        assert_eq!(get("/favicon.svg", &[("if-none-match", "\"other\"")]).await.0, 200);
    }

    #[tokio::test]
    async fn addresses_of_the_console_get_its_page_and_missing_files_do_not() {
        let html = ("accept", "text/html,application/xhtml+xml,*/*;q=0.8");
        for path in ["/", "/sign-in", "/clusters/1/namespaces/shop/pods/web.1"] {
            let (status, headers, body) = get(path, &[html]).await;
            assert_eq!((status, body.as_str()), (200, "the page"), "{path}");
            assert_eq!(headers["content-type"], "text/html; charset=utf-8");
        }
        assert_eq!(get("/assets/gone.js", &[html]).await.0, 404);
        assert_eq!(get("/gone.js", &[("accept", "*/*")]).await.0, 404);
        assert_eq!(get("/assets/app-1a2b.js.br", &[]).await.0, 404, "not by its own name");
        assert_eq!(get("/../Cargo.toml", &[]).await.0, 404);
    }

    #[tokio::test]
    async fn a_relay_serves_a_page_whether_or_not_the_console_is_built() {
        let relay = TestRelay::new().await;
        let response = relay.get("/sign-in").header("accept", "text/html").send().await;
        assert_eq!(response.status, 200);
        assert_eq!(response.header("content-type"), "text/html; charset=utf-8");
        relay.post("/").send().await.assert_problem(405, "method_not_allowed");
    }
}
