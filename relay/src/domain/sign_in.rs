//! Signing in at an organisation's provider: what the organisation says about it, and who may come in. Pure.

use std::collections::{BTreeMap, BTreeSet};

use podlatch_protocol::id::{GroupId, UserId};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::name::Email;
use super::organisation::Role;

/// The most groups of a claim that are looked at.
const MAX_CLAIMED_GROUPS: usize = 1000;

/// What an organisation's administrators say about a provider, besides how to reach it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ProviderSettings {
    /// The scopes that are asked for besides `openid`, `email` and `profile`.
    pub scopes: Vec<String>,
    /// The claim that lists a person's groups: a name, or a path with dots.
    pub groups_claim: Option<String>,
    /// Which value of that claim makes somebody a member of which group.
    pub group_mapping: BTreeMap<String, GroupId>,
    /// The domains of the addresses that are let in; empty means any.
    pub email_domains: BTreeSet<String>,
    /// What becomes of people whom nobody invited.
    pub unknown_people: UnknownPeople,
    /// What becomes of members who sign in here for the first time.
    pub known_members: KnownMembers,
}

/// What becomes of people whom nobody invited.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UnknownPeople {
    /// They need an invitation.
    #[default]
    NeedInvitation,
    /// They become members.
    BecomeMembers,
    /// They become auditors.
    BecomeAuditors,
    /// They become admins.
    BecomeAdmins,
}

impl UnknownPeople {
    const fn role(self) -> Option<Role> {
        match self {
            Self::NeedInvitation => None,
            Self::BecomeMembers => Some(Role::Member),
            Self::BecomeAuditors => Some(Role::Auditor),
            Self::BecomeAdmins => Some(Role::Admin),
        }
    }
}

/// What becomes of members whom the provider has not named before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KnownMembers {
    /// They sign in another way first and say that the two are one.
    #[default]
    LinkThemselves,
    /// Their verified address is enough: the organisation owns its domains, and believes the provider about them.
    AreRecognised,
}

/// What a provider says of somebody.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claims {
    /// Who they are there; never changes.
    pub subject: String,
    /// Their address, and whether the provider has verified it.
    pub email: Option<ClaimedEmail>,
    /// What they are called.
    pub name: Option<String>,
    /// Everything that the provider says.
    pub all: Map<String, Value>,
}

/// An address that a provider speaks of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClaimedEmail {
    /// It is theirs.
    Verified(Email),
    /// They say that it is theirs.
    Unverified,
}

impl Claims {
    /// The groups that the claim lists, in the words of the provider; none where there is no such claim.
    fn groups(&self, claim: &str) -> BTreeSet<&str> {
        let value = self.all.get(claim).or_else(|| follow(&self.all, claim));
        match value {
            Some(Value::String(one)) => BTreeSet::from([one.as_str()]),
            Some(Value::Array(many)) => many.iter().take(MAX_CLAIMED_GROUPS).filter_map(Value::as_str).collect(),
            _ => BTreeSet::new(),
        }
    }
}

fn follow<'a>(claims: &'a Map<String, Value>, path: &str) -> Option<&'a Value> {
    let (first, rest) = path.split_once('.')?;
    rest.split('.').try_fold(claims.get(first)?, |value, part| value.get(part))
}

impl ProviderSettings {
    /// The groups that somebody is in, by what the provider says now.
    pub fn groups_of(&self, claims: &Claims) -> BTreeSet<GroupId> {
        let Some(claim) = &self.groups_claim else {
            return BTreeSet::new();
        };
        let claimed = claims.groups(claim);
        self.group_mapping.iter().filter(|(value, _)| claimed.contains(value.as_str())).map(|(_, id)| *id).collect()
    }

    fn lets_in(&self, email: &Email) -> bool {
        let domain = email.as_str().rsplit_once('@').map_or("", |(_, domain)| domain);
        self.email_domains.is_empty() || self.email_domains.contains(domain)
    }
}

/// What is known of somebody who comes from a provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ArrivalFacts {
    /// Whose identity it is, by organisation, issuer and subject.
    pub identity: Option<UserId>,
    /// Who was signed in to the organisation when they set out, and asked to link the two.
    pub linking: Option<UserId>,
    /// Who has the verified address on this relay.
    pub account: Option<KnownAccount>,
    /// As what the verified address is invited.
    pub invited: Option<Role>,
}

/// An account that has the address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KnownAccount {
    /// Whose.
    pub user: UserId,
    /// Whether they are in the provider's organisation.
    pub membership: Membership,
}

/// Whether somebody is in an organisation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Membership {
    /// They are.
    Here,
    /// They are not.
    Elsewhere,
}

/// How somebody comes in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arrival {
    /// They have been here.
    Known(UserId),
    /// It becomes known that they are this member.
    Linked(UserId),
    /// An account of the relay joins the organisation, because it was invited.
    Joins(UserId, Role),
    /// A new account joins the organisation.
    New(Role),
}

/// Why somebody who comes from a provider is not let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ArrivalRefusal {
    /// Nobody invited them, and the organisation does not let unknown people in.
    NotInvited,
    /// The provider does not vouch for their address.
    UnverifiedEmail,
    /// Their address is not of a domain that the organisation lets in.
    ForeignDomain,
    /// Their address is somebody's account, and nothing but the address says that the two are one.
    AddressTaken,
    /// The identity is somebody else's already.
    IdentityTaken,
}

impl ArrivalRefusal {
    /// The stable name, for the audit log and the console.
    pub const fn slug(self) -> &'static str {
        match self {
            Self::NotInvited => "not_invited",
            Self::UnverifiedEmail => "unverified_email",
            Self::ForeignDomain => "foreign_domain",
            Self::AddressTaken => "address_taken",
            Self::IdentityTaken => "identity_taken",
        }
    }
}

/// Decides who comes in. An address alone, verified or not, never makes two accounts one: the person must be invited, be
/// signed in, or be a member whom the organisation lets this provider recognise.
pub fn arrival(
    settings: &ProviderSettings,
    email: Option<&ClaimedEmail>,
    facts: &ArrivalFacts,
) -> Result<Arrival, ArrivalRefusal> {
    if let Some(ClaimedEmail::Verified(email)) = email
        && !settings.lets_in(email)
    {
        return Err(ArrivalRefusal::ForeignDomain);
    }
    let verified = matches!(email, Some(ClaimedEmail::Verified(_)));
    if !verified && !settings.email_domains.is_empty() {
        return Err(ArrivalRefusal::UnverifiedEmail);
    }
    match (facts.identity, facts.linking) {
        (Some(user), Some(linking)) if user != linking => return Err(ArrivalRefusal::IdentityTaken),
        (Some(user), _) => return Ok(Arrival::Known(user)),
        (None, Some(user)) => return Ok(Arrival::Linked(user)),
        (None, None) => {}
    }
    if !verified {
        return Err(ArrivalRefusal::UnverifiedEmail);
    }
    match (facts.account, facts.invited) {
        (Some(KnownAccount { user, membership: Membership::Here }), _) => match settings.known_members {
            KnownMembers::AreRecognised if !settings.email_domains.is_empty() => Ok(Arrival::Linked(user)),
            _ => Err(ArrivalRefusal::AddressTaken),
        },
        (Some(KnownAccount { user, membership: Membership::Elsewhere }), Some(role)) => Ok(Arrival::Joins(user, role)),
        (Some(_), None) => Err(ArrivalRefusal::AddressTaken),
        (None, Some(role)) => Ok(Arrival::New(role)),
        (None, None) => settings.unknown_people.role().map(Arrival::New).ok_or(ArrivalRefusal::NotInvited),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use uuid::Uuid;

    use super::*;

    const ADA: UserId = UserId::from_uuid(Uuid::from_u128(1));
    const BOB: UserId = UserId::from_uuid(Uuid::from_u128(2));
    const HERE: Option<KnownAccount> = Some(KnownAccount { user: ADA, membership: Membership::Here });
    const ELSEWHERE: Option<KnownAccount> = Some(KnownAccount { user: ADA, membership: Membership::Elsewhere });

    fn verified(address: &str) -> ClaimedEmail {
        ClaimedEmail::Verified(address.parse().expect("an address"))
    }

    fn open() -> ProviderSettings {
        ProviderSettings { unknown_people: UnknownPeople::BecomeMembers, ..ProviderSettings::default() }
    }

    fn of_domain(settings: ProviderSettings) -> ProviderSettings {
        ProviderSettings { email_domains: BTreeSet::from(["example.org".to_owned()]), ..settings }
    }

    #[test]
    fn an_address_alone_never_makes_two_accounts_one() {
        let email = Some(verified("ada@example.org"));
        for settings in [ProviderSettings::default(), open(), of_domain(open())] {
            for account in [HERE, ELSEWHERE] {
                let facts = ArrivalFacts { account, ..ArrivalFacts::default() };
                assert_eq!(arrival(&settings, email.as_ref(), &facts), Err(ArrivalRefusal::AddressTaken));
            }
        }
        let recognised = ProviderSettings { known_members: KnownMembers::AreRecognised, ..open() };
        let member = ArrivalFacts { account: HERE, ..ArrivalFacts::default() };
        let stranger = ArrivalFacts { account: ELSEWHERE, ..ArrivalFacts::default() };
        assert_eq!(arrival(&recognised, email.as_ref(), &member), Err(ArrivalRefusal::AddressTaken), "no own domain");
        let recognised = of_domain(recognised);
        assert_eq!(arrival(&recognised, email.as_ref(), &member), Ok(Arrival::Linked(ADA)));
        assert_eq!(arrival(&recognised, email.as_ref(), &stranger), Err(ArrivalRefusal::AddressTaken));
    }

    #[test]
    fn an_unknown_person_needs_an_invitation_or_an_open_door() {
        let (email, nothing) = (Some(verified("ada@example.org")), ArrivalFacts::default());
        assert_eq!(arrival(&ProviderSettings::default(), email.as_ref(), &nothing), Err(ArrivalRefusal::NotInvited));
        assert_eq!(arrival(&open(), email.as_ref(), &nothing), Ok(Arrival::New(Role::Member)));
        let invited = ArrivalFacts { invited: Some(Role::Admin), ..nothing };
        assert_eq!(arrival(&open(), email.as_ref(), &invited), Ok(Arrival::New(Role::Admin)));
        let invited = ArrivalFacts { account: ELSEWHERE, ..invited };
        assert_eq!(arrival(&open(), email.as_ref(), &invited), Ok(Arrival::Joins(ADA, Role::Admin)));
        for unverified in [None, Some(ClaimedEmail::Unverified)] {
            let refused = arrival(&open(), unverified.as_ref(), &nothing);
            assert_eq!(refused, Err(ArrivalRefusal::UnverifiedEmail));
        }
    }

    #[test]
    fn a_known_identity_needs_no_address_unless_the_domain_counts() {
        let known = ArrivalFacts { identity: Some(ADA), ..ArrivalFacts::default() };
        assert_eq!(arrival(&open(), None, &known), Ok(Arrival::Known(ADA)));
        assert_eq!(arrival(&of_domain(open()), None, &known), Err(ArrivalRefusal::UnverifiedEmail));
        let foreign = Some(verified("ada@example.org.evil.example"));
        assert_eq!(arrival(&of_domain(open()), foreign.as_ref(), &known), Err(ArrivalRefusal::ForeignDomain));
    }

    #[test]
    fn only_the_person_themselves_links_an_identity_that_is_nobodys() {
        let linking = ArrivalFacts { linking: Some(BOB), ..ArrivalFacts::default() };
        assert_eq!(arrival(&open(), None, &linking), Ok(Arrival::Linked(BOB)));
        let taken = ArrivalFacts { identity: Some(ADA), ..linking };
        assert_eq!(arrival(&open(), None, &taken), Err(ArrivalRefusal::IdentityTaken));
    }

    #[test]
    fn groups_are_read_from_a_list_a_word_or_a_path_and_nothing_else_is_a_group() {
        let (admins, devs) = (GroupId::from_uuid(Uuid::from_u128(7)), GroupId::from_uuid(Uuid::from_u128(8)));
        let mapping = BTreeMap::from([("admins".to_owned(), admins), ("devs".to_owned(), devs)]);
        let settings = |claim: &str| ProviderSettings {
            groups_claim: Some(claim.to_owned()),
            group_mapping: mapping.clone(),
            ..ProviderSettings::default()
        };
        let claims = |all: Value| Claims {
            subject: "s".to_owned(),
            email: None,
            name: None,
            all: all.as_object().expect("an object").clone(),
        };
        for (claim, all, expected) in [
            ("groups", json!({"groups": ["admins", "other", 7]}), vec![admins]),
            ("groups", json!({"groups": "devs"}), vec![devs]),
            ("realm.roles", json!({"realm": {"roles": ["admins", "devs"]}}), vec![admins, devs]),
            ("https://x.example/groups", json!({"https://x.example/groups": ["devs"]}), vec![devs]),
            ("groups", json!({"roles": ["devs"]}), vec![]),
            ("groups", json!({"groups": {"devs": true}}), vec![]),
        ] {
            let found: Vec<_> = settings(claim).groups_of(&claims(all)).into_iter().collect();
            assert_eq!(found, expected, "{claim}");
        }
    }
}
