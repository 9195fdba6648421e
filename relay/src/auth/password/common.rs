//! Passwords that others would try first.
//!
//! Twelve characters leave out nearly every entry of the lists that circulate; what is left are words that are repeated,
//! runs of keys, and the words with a year or a number behind them.

/// Beginnings that make a password common when nothing but digits and signs, or the same again, follows.
const WORDS: &[&str] = &[
    "password",
    "passw0rd",
    "p@ssword",
    "p@ssw0rd",
    "passwort",
    "motdepasse",
    "contraseña",
    "administrator",
    "admin",
    "welcome",
    "letmein",
    "iloveyou",
    "qwerty",
    "qwertz",
    "azerty",
    "qwertyuiop",
    "qwertzuiop",
    "asdfghjkl",
    "changeme",
    "kubernetes",
    "podlatch",
    "docker",
    "secret",
    "geheim",
    "login",
    "monkey",
    "dragon",
    "football",
    "baseball",
    "superman",
    "batman",
    "sunshine",
    "princess",
    "master",
    "shadow",
    "michael",
    "jennifer",
    "summer",
    "winter",
    "spring",
    "autumn",
    "sommer",
    "herbst",
    "january",
    "february",
    "october",
    "november",
    "december",
    "default",
    "testtest",
    "test",
    "internet",
    "computer",
    "company",
    "abcdefghijkl",
    "abcdefghijklm",
    "abcdefghijklmnop",
    "trustno1",
    "whatever",
];

/// Rows of keys and digits; a password that is a part of one is common.
const RUNS: &[&str] = &[
    "01234567890123456789012345678901234567890",
    "09876543210987654321098765432109876543210",
    "qwertyuiopasdfghjklzxcvbnm",
    "qwertzuiopasdfghjklyxcvbnm",
    "azertyuiopqsdfghjklmwxcvbn",
    "abcdefghijklmnopqrstuvwxyz",
    "1qaz2wsx3edc4rfv5tgb6yhn7ujm8ik",
    "1q2w3e4r5t6y7u8i9o0p",
    "1q2w3e4r5t6z7u8i9o0p",
    "qazwsxedcrfvtgbyhnujm",
];

/// Whether others would try it first, for a person with this address.
pub(super) fn is_common(password: &str, email: &str) -> bool {
    let lower = password.to_lowercase();
    let own = email.split('@').next().unwrap_or_default();
    let starts = WORDS.iter().copied().chain([email, own]).filter(|word| word.len() >= 4);
    starts.into_iter().any(|word| is_padded(&lower, word))
        || RUNS.iter().any(|run| run.contains(lower.as_str()))
        || repeats(&lower)
}

/// A word, once or several times, with nothing but digits and signs around.
fn is_padded(password: &str, word: &str) -> bool {
    let rest = password.replace(word, "");
    rest.len() < password.len() && !rest.chars().any(char::is_alphabetic)
}

/// The same one to four characters all over.
fn repeats(password: &str) -> bool {
    let characters: Vec<char> = password.chars().collect();
    (1..=4).any(|period| characters.iter().skip(period).zip(&characters).all(|(later, earlier)| later == earlier))
}
