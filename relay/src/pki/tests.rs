//! What the authority issues, read back; the relay's leaf; the files.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;

use podlatch_protocol::id::{AgentId, ClusterId, OrganisationId};
use podlatch_protocol::version::RELAY_TLS_NAME;
use rcgen::{
    CertificateParams, KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ECDSA_P384_SHA384, PKCS_ED25519, PublicKeyData, SanType,
};
use sha2::{Digest, Sha256};

use super::request::MAX_REQUEST_BYTES;
use super::*;
use crate::clock::{Clock, UnixMillis};

const NOW: UnixMillis = UnixMillis::new(1_800_000_000_000);

fn identity(seed: u8) -> AgentIdentity {
    AgentIdentity {
        organisation: OrganisationId::new(1, &[seed; 10]),
        cluster: ClusterId::new(2, &[seed; 10]),
        agent: AgentId::new(3, &[seed; 10]),
    }
}

fn request(key: &KeyPair, names: Vec<SanType>) -> Vec<u8> {
    let mut params = CertificateParams::default();
    params.subject_alt_names = names;
    params.serialize_request(key).expect("makes a request").der().to_vec()
}

fn p256() -> KeyPair {
    KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).expect("makes a key")
}

fn ca() -> (tempfile::TempDir, Ca) {
    let folder = tempfile::tempdir().expect("makes a folder");
    let ca = Ca::load_or_create(folder.path(), NOW).expect("makes a CA");
    (folder, ca)
}

#[test]
fn the_ca_is_the_same_after_a_restart_and_its_key_is_private() {
    let (folder, ca) = ca();
    let again = Ca::load_or_create(folder.path(), NOW).expect("loads the CA");
    assert_eq!((ca.pin(), ca.certificate()), (again.pin(), again.certificate()));
    assert_eq!(ca.derived_secret("a"), again.derived_secret("a"));
    assert_ne!(ca.derived_secret("a"), ca.derived_secret("b"));
    let key = folder.path().join(KEY_FILE);
    assert_eq!(fs::metadata(&key).expect("exists").permissions().mode() & 0o777, 0o600);
    assert_eq!(fs::read_dir(folder.path()).expect("lists").count(), 2);
}

#[test]
fn processes_that_make_it_at_once_get_the_same_ca() {
    let folder = tempfile::tempdir().expect("makes a folder");
    let pins: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> =
            (0..8).map(|_| scope.spawn(|| Ca::load_or_create(folder.path(), NOW).map(|ca| ca.pin()))).collect();
        threads.into_iter().map(|thread| thread.join().expect("joins").expect("loads")).collect()
    });
    assert!(pins.windows(2).all(|pair| pair[0] == pair[1]));
}

#[test]
fn a_lost_certificate_is_made_anew_for_the_same_pin() {
    let (folder, ca) = ca();
    fs::remove_file(folder.path().join(CERTIFICATE_FILE)).expect("removes");
    assert_eq!(Ca::load_or_create(folder.path(), NOW).expect("loads").pin(), ca.pin());
}

#[test]
fn a_key_that_everybody_can_read_and_a_foreign_key_are_refused() {
    let (folder, _) = ca();
    let key = folder.path().join(KEY_FILE);
    fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).expect("changes mode");
    assert!(matches!(Ca::load_or_create(folder.path(), NOW), Err(PkiError::KeyIsPublic(_))));
    fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).expect("changes mode");
    fs::write(&key, p256().serialize_pem()).expect("writes");
    assert!(matches!(Ca::load_or_create(folder.path(), NOW), Err(PkiError::Mismatch)));
    fs::write(&key, "no key").expect("writes");
    assert!(matches!(Ca::load_or_create(folder.path(), NOW), Err(PkiError::Content { .. })));
}

#[test]
fn from_a_request_comes_the_key_alone() {
    let (_folder, ca) = ca();
    let foreign = SanType::URI(identity(9).uri().try_into().expect("is a URI"));
    let server = SanType::DnsName(RELAY_TLS_NAME.try_into().expect("is a name"));
    let key = p256();
    let issued =
        ca.issue_agent_certificate(&request(&key, vec![foreign, server]), identity(1), NOW).expect("is issued");
    let parsed = AgentCertificate::parse(&issued.certificate).expect("is an agent's");
    assert_eq!(parsed.identity, identity(1));
    assert_eq!(parsed.public_key, issued.public_key);
    assert_eq!(parsed.expires_at, NOW.plus(Lifetimes::default().agent));
    assert_eq!(parsed.expires_at, issued.expires_at);
    assert_eq!(issued.public_key.0, *Sha256::digest(key.subject_public_key_info()));
}

#[test]
fn ed25519_is_accepted_and_other_keys_are_not() {
    let (_folder, ca) = ca();
    let ed25519 = KeyPair::generate_for(&PKCS_ED25519).expect("makes a key");
    assert!(ca.issue_agent_certificate(&request(&ed25519, vec![]), identity(1), NOW).is_ok());
    let p384 = KeyPair::generate_for(&PKCS_ECDSA_P384_SHA384).expect("makes a key");
    let refused = ca.issue_agent_certificate(&request(&p384, vec![]), identity(1), NOW);
    assert!(matches!(refused, Err(IssueError::Algorithm)));
}

#[test]
fn a_request_that_was_tampered_with_is_refused() {
    let (_folder, ca) = ca();
    let good = request(&p256(), vec![]);
    for position in [good.len() - 1, good.len() / 2] {
        let mut bad = good.clone();
        bad[position] ^= 1;
        assert!(ca.issue_agent_certificate(&bad, identity(1), NOW).is_err(), "byte {position}");
    }
    let trailing = [good, vec![0]].concat();
    for bad in [vec![], vec![0; MAX_REQUEST_BYTES + 1], trailing] {
        assert!(matches!(ca.issue_agent_certificate(&bad, identity(1), NOW), Err(IssueError::Malformed)));
    }
}

#[test]
fn only_an_agents_certificate_is_read_as_one() {
    let (_folder, ca) = ca();
    let relay = ca.issue_relay_certificate(&p256(), NOW).expect("is issued");
    assert_eq!(AgentCertificate::parse(&relay[0]), Err(NotAnAgentCertificate));
    assert_eq!(AgentCertificate::parse(ca.certificate()), Err(NotAnAgentCertificate));
    assert_eq!(AgentCertificate::parse(b""), Err(NotAnAgentCertificate));
}

#[test]
fn the_relays_certificate_is_made_anew_at_half_its_life() {
    let (_folder, ca) = ca();
    let (clock, hand) = Clock::manual(NOW);
    let relay = RelayCertificate::new(Arc::new(ca), clock).expect("is issued");
    let first = relay.current().expect("is there");
    assert_eq!(relay.current().expect("is there").cert, first.cert);
    hand.advance(Lifetimes::default().relay / 2);
    assert_ne!(relay.current().expect("is there").cert, first.cert);
}
