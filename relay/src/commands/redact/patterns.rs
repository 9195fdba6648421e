//! What looks like a secret wherever it stands.

use std::ops::Range;
use std::sync::LazyLock;

use regex::Regex;

/// A value in quotes, or a word.
const VALUE: &str =
    r#"(?:"(?P<d>[^"\s][^"\n]*)|'(?P<q>[^'\s][^'\n]*)|(?P<w>[^\s"'`;|&<>(){},\[\]=~][^\s"'`;|&<>(),]*))"#;

/// Shapes of tokens whose issuers gave them a prefix, and keys.
const TOKENS: &[&str] = &[
    r"\b(?:AKIA|ASIA|ABIA|ACCA)[0-9A-Z]{16}\b",
    r"\bgh[pousr]_[A-Za-z0-9]{20,}",
    r"\bgithub_pat_[A-Za-z0-9_]{20,}",
    r"\bgl(?:pat|ptt|dt|rt|cbt|soat|ft|imt|agent|oas)-[A-Za-z0-9_-]{16,}",
    r"\bxox[abeoprs]-[A-Za-z0-9-]{8,}",
    r"\bxapp-[0-9]-[A-Za-z0-9-]{8,}",
    r"hooks\.slack\.com/(?:services|workflows)/(?P<w>[A-Za-z0-9/_-]+)",
    r"discord(?:app)?\.com/api/webhooks/(?P<w>[0-9]+/[A-Za-z0-9_-]+)",
    r"\b[srp]k_(?:live|test)_[A-Za-z0-9]{10,}",
    r"\bwhsec_[A-Za-z0-9+/=]{16,}",
    r"\bsk-[A-Za-z0-9_-]{20,}",
    r"\bAIza[A-Za-z0-9_-]{30,}",
    r"\bya29\.[A-Za-z0-9_-]{10,}",
    r"\bGOCSPX-[A-Za-z0-9_-]{10,}",
    r"\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{6,}(?:\.[A-Za-z0-9_-]*){0,3}",
    r"\bnpm_[A-Za-z0-9]{30,}",
    r"\bpypi-[A-Za-z0-9_-]{16,}",
    r"\bhv[sbr]\.[A-Za-z0-9_-]{16,}",
    r"\bdo[opr]_v1_[a-f0-9]{32,}",
    r"\bSG\.[A-Za-z0-9_-]{16,}\.[A-Za-z0-9_-]{16,}",
    r"\bkey-[0-9a-f]{32}\b",
    r"\bshp(?:at|ss|ca|pa)_[a-fA-F0-9]{20,}",
    r"\bdapi[0-9a-f]{32}\b",
    r"\bAGE-SECRET-KEY-1[0-9A-Z]+",
    r"\btskey-[A-Za-z0-9-]{8,}",
    r"\blin_(?:api|oauth)_[A-Za-z0-9]{16,}",
    r"\brubygems_[a-f0-9]{32,}",
    r"\bdckr_(?:pat|oat)_[A-Za-z0-9_-]{16,}",
    r"\b(?:PMAK|NRAK|NRJS|NRII)-[A-Za-z0-9-]{16,}",
    r"\b[0-9]{8,10}:AA[A-Za-z0-9_-]{32,}",
    r"\bATATT3[A-Za-z0-9_=-]{16,}",
    r"\bATCTT3[A-Za-z0-9_=-]{16,}",
    r"\bhf_[A-Za-z0-9]{24,}",
    r"\br8_[A-Za-z0-9]{24,}",
    r"\bgl(?:c|sa)_[A-Za-z0-9+/=_]{24,}",
    r"\bsntry[su]_[A-Za-z0-9+/=_-]{20,}",
    r"\bpscale_(?:pw|tkn|oauth)_[A-Za-z0-9_.-]{16,}",
    r"\bsb[pt]_[a-f0-9]{32,}",
    r"\bxkeysib-[a-f0-9-]{32,}",
    r"\bdp\.(?:pt|st|ct|sa|scim|audit)\.[A-Za-z0-9._-]{16,}",
    r"\bops_eyJ[A-Za-z0-9_-]{16,}",
    r"\bfigd_[A-Za-z0-9_-]{16,}",
    r"\b[A-Za-z0-9]{14}\.atlasv1\.[A-Za-z0-9_-]{16,}",
    r"\bCFPAT-[A-Za-z0-9_-]{16,}",
    r"\bsq0(?:csp|atp)-[A-Za-z0-9_-]{16,}",
    r"\bpl[a-z]_[A-Za-z0-9_-]{32,}",
    r"\bK10[0-9a-f]{32,}::server:[0-9a-f]{16,}",
];

static PATTERNS: LazyLock<Vec<Regex>> = LazyLock::new(|| {
    let header = r"(?:proxy-)?authorization|cookie|set-cookie|(?:[a-z0-9]+-)+(?:key|token|secret|signature|password)|apikey|x-auth";
    let scheme = r"(?:bearer|basic|token|digest|apikey|api-key|negotiate|key|splunk|ntlm|hawk|aws4-hmac-sha256)";
    let name = r"[a-z0-9_.-]*(?:passw(?:or)?d|passwort|passphrase|passcode|(?:^|[_.-]|db|user|my|smtp|ftp|root|admin)pass|pwd|secret|token|auth[_-]?key|api[_-]?key|access[_-]?key|secret[_-]?key(?:[_-]?base)?|private[_-]?key|encryption[_-]?key|signing[_-]?key|master[_-]?key|account[_-]?key|storage[_-]?key|shared[_-]?access[_-]?key|credentials?|psk|authtoken|jwt|bearer|requirepass|sas)(?:_?[0-9]{1,3})?";
    let mut patterns = vec![
        // Private keys, to their end or the text's.
        r"(?s)-----BEGIN [A-Z0-9 ]*PRIVATE KEY(?: BLOCK)?-----(?P<w>.*?)(?:-----END [A-Z0-9 ]*PRIVATE KEY(?: BLOCK)?-----|\z)".to_owned(),
        // user:password@ and long user names alone in URLs.
        r#"[A-Za-z][A-Za-z0-9+.-]{0,30}://[^\s/@:'"?#]*:(?P<w>[^\s/'"@]+)@"#.to_owned(),
        r#"[A-Za-z][A-Za-z0-9+.-]{0,30}://(?P<w>[^\s/@:'"?#.]{16,})@"#.to_owned(),
        // Headers, to the end of their quotes or of the word.
        format!(r#"(?i)["'](?:{header})\s*:\s*(?:{scheme}\s+)?(?P<w>[^"'\n]+)"#),
        format!(r#"(?i)(?:^|[\s"'])(?:{header}):(?:(?:\\\s)*{scheme}(?:\\\s)+)?(?P<w>[^\s"'\\:][^\s"']*)"#),
        r"(?i)\bbearer\s+(?P<w>[A-Za-z0-9._~+/=-]{8,})".to_owned(),
        // name=value, also in forms, settings, JSON and YAML.
        format!(r"(?i)(?:^|[^a-z0-9_.$-])(?:{name})={VALUE}"),
        format!(r#"(?i)["'](?:{name})\\?["']\s*[:=]\s*\\?{VALUE}"#),
        format!(r"(?im)^[\s-]*(?:{name})\s*:\s+{VALUE}"),
        format!(r"(?im)^\s*(?:{name})\s+=\s+{VALUE}"),
        // SQL.
        r#"(?i)\bidentified\s+(?:with\s+\S+\s+)?(?:by|as)\s+(?:password\s+)?["'](?P<w>[^"'\n]+)"#.to_owned(),
        r#"(?i)(?:\bpassword\s*[=(]|\b(?:with|set|encrypted)\s+password)\s*\(?["'](?P<w>[^"'\s][^"'\n]*)"#.to_owned(),
        r#"(?i)\bconvertto-securestring\s+(?:-string\s+)?["']?(?P<w>[^"'\s-][^"'\s]*)"#.to_owned(),
        // Signed URLs.
        r#"(?i)[?&](?:x-amz-signature|x-amz-credential|x-amz-security-token|sig|signature|access_token|key|code|client_secret)=(?P<w>[^&\s"']{8,})"#.to_owned(),
    ];
    patterns.extend(TOKENS.iter().map(|token| (*token).to_owned()));
    patterns.iter().filter_map(|pattern| Regex::new(pattern).ok()).collect()
});

/// Finds secrets by their looks.
pub(super) fn find(text: &str) -> Vec<Range<usize>> {
    let mut secrets = Vec::new();
    for pattern in PATTERNS.iter() {
        for found in pattern.captures_iter(text) {
            let part = ["w", "d", "q"].iter().find_map(|name| found.name(name)).or_else(|| found.get(0));
            secrets.extend(part.filter(|part| !part.is_empty()).map(|part| part.range()));
        }
    }
    secrets.extend(random_words(text));
    secrets
}

/// Words that nobody would type: long, with all kinds of characters, evenly mixed.
fn random_words(text: &str) -> impl Iterator<Item = Range<usize>> {
    let part = |character: char| character.is_ascii_alphanumeric() || matches!(character, '+' | '_' | '-');
    let pieces = text.split(move |character: char| !part(character));
    let base = text.as_ptr().addr();
    pieces.filter(|piece| is_random(piece)).map(move |piece| {
        let start = piece.as_ptr().addr() - base;
        start..start + piece.len()
    })
}

fn is_random(word: &str) -> bool {
    const LENGTHS: std::ops::RangeInclusive<usize> = 32..=512;
    const LEAST_BITS: f64 = 4.2;
    let has = |kind: fn(&u8) -> bool| word.as_bytes().iter().any(kind);
    let mixed = has(u8::is_ascii_lowercase) && has(u8::is_ascii_uppercase) && has(u8::is_ascii_digit);
    // Public keys of SSH begin like this.
    LENGTHS.contains(&word.len()) && mixed && !word.starts_with("AAAA") && bits_per_character(word) >= LEAST_BITS
}

/// Shannon's entropy of the characters.
fn bits_per_character(word: &str) -> f64 {
    let mut counts = [0_u32; 256];
    word.bytes().for_each(|byte| counts[usize::from(byte)] += 1);
    let length = f64::from(u32::try_from(word.len()).unwrap_or(u32::MAX));
    let shares = counts.iter().filter(|count| **count > 0).map(|count| f64::from(*count) / length);
    -shares.map(|share| share * share.log2()).sum::<f64>()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_pattern_is_one() {
        assert_eq!(PATTERNS.len(), TOKENS.len() + 14);
    }
}
