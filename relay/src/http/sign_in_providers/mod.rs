//! `/api/v1/sign-in-providers`: where an organisation's people sign in.

pub mod change;
pub mod create;
pub mod delete;
pub mod list;

use std::collections::{BTreeMap, BTreeSet};

use podlatch_protocol::id::{GroupId, SignInProviderId};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::app::App;
use crate::auth::seal::Sealed;
use crate::clock::UnixMillis;
use crate::domain::organisation::Role;
use crate::domain::sign_in::{KnownMembers, ProviderSettings, UnknownPeople};
use crate::http::context::CallContext;
use crate::http::problem::{Problem, ProblemKind};
use crate::http::sign_in::oidc_start::{redirect_url, secret_place};
use crate::store::{SignInProvider, StoreError};

/// Longest text of a setting, in bytes.
const MAX_TEXT_BYTES: usize = 500;

/// Most scopes, domains or mapped groups.
const MAX_ENTRIES: usize = 200;

/// A provider. Its secret is never shown.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = SignInProvider)]
pub struct SignInProviderBody {
    id: String,
    name: String,
    issuer: String,
    client_id: String,
    /// Whether a secret is kept.
    has_client_secret: bool,
    /// What the provider must know as the relay's redirect address.
    redirect_url: String,
    scopes: Vec<String>,
    groups_claim: Option<String>,
    /// Value of the claim to the id of a group.
    #[schema(value_type = BTreeMap<String, String>)]
    group_mapping: BTreeMap<String, GroupId>,
    email_domains: BTreeSet<String>,
    #[schema(value_type = String, example = "need_invitation")]
    unknown_people: UnknownPeople,
    #[schema(value_type = String, example = "link_themselves")]
    known_members: KnownMembers,
    /// When it was created (RFC 3339).
    #[schema(value_type = String, format = DateTime)]
    created_at: UnixMillis,
    /// When it was changed last (RFC 3339).
    #[schema(value_type = String, format = DateTime)]
    updated_at: UnixMillis,
}

impl SignInProviderBody {
    fn new(app: &App, provider: SignInProvider) -> Self {
        let ProviderSettings { scopes, groups_claim, group_mapping, email_domains, unknown_people, known_members } =
            provider.settings;
        Self {
            id: provider.id.to_string(),
            name: provider.name.to_string(),
            issuer: provider.issuer,
            client_id: provider.client_id,
            has_client_secret: provider.client_secret.is_some(),
            redirect_url: redirect_url(app, provider.id),
            scopes,
            groups_claim,
            group_mapping,
            email_domains,
            unknown_people,
            known_members,
            created_at: provider.created_at,
            updated_at: provider.updated_at,
        }
    }
}

/// What administrators say about a provider.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SignInProviderSettingsBody {
    /// What its button says.
    name: String,
    /// Who it is, exactly as its tokens say: https://host/path. Cannot be changed later.
    issuer: String,
    /// Who the relay is there.
    client_id: String,
    /// With what the relay proves that. Left out in a change: as before; empty: none any more.
    #[serde(default)]
    #[schema(value_type = Option<String>, format = Password)]
    client_secret: Option<SecretString>,
    /// Scopes besides `openid`, `email` and `profile`.
    #[serde(default)]
    scopes: Vec<String>,
    /// The claim that lists a person's groups: a name, or a path with dots.
    #[serde(default)]
    groups_claim: Option<String>,
    /// Which value of that claim makes somebody a member of which group, by its id.
    #[serde(default)]
    #[schema(value_type = BTreeMap<String, String>)]
    group_mapping: BTreeMap<String, GroupId>,
    /// The domains of the addresses that are let in; empty means any.
    #[serde(default)]
    email_domains: BTreeSet<String>,
    /// `need_invitation`, `become_members`, `become_auditors` or `become_admins`.
    #[serde(default)]
    #[schema(value_type = String, example = "need_invitation")]
    unknown_people: UnknownPeople,
    /// `link_themselves`, or `are_recognised` by their verified address, which only an owner may say.
    #[serde(default)]
    #[schema(value_type = String, example = "link_themselves")]
    known_members: KnownMembers,
}

impl SignInProviderSettingsBody {
    /// The provider that is meant; `before` is what it was.
    fn provider(
        self,
        app: &App,
        context: &CallContext,
        before: Option<&SignInProvider>,
        id: SignInProviderId,
    ) -> Result<SignInProvider, Problem> {
        self.check(context, before)?;
        app.sign_in.providers.check(&self.issuer).map_err(|error| bad(format!("The issuer is not good: {error}.")))?;
        let organisation = context.actor.organisation;
        let client_secret = match &self.client_secret {
            None => before.and_then(|before| before.client_secret.clone()),
            Some(secret) if secret.expose_secret().is_empty() => None,
            Some(secret) => Some(seal(app, context, id, secret)?),
        };
        let lower = |domain: String| domain.trim().trim_start_matches('@').to_lowercase();
        Ok(SignInProvider {
            id,
            organisation,
            name: self.name.parse().map_err(|error| bad(format!("The name is not good: {error}.")))?,
            issuer: self.issuer,
            client_id: self.client_id,
            client_secret,
            settings: ProviderSettings {
                scopes: self.scopes,
                groups_claim: self.groups_claim.filter(|claim| !claim.is_empty()),
                group_mapping: self.group_mapping,
                email_domains: self.email_domains.into_iter().map(lower).filter(|domain| !domain.is_empty()).collect(),
                unknown_people: self.unknown_people,
                known_members: self.known_members,
            },
            created_at: before.map_or(context.now, |before| before.created_at),
            updated_at: context.now,
        })
    }

    fn check(&self, context: &CallContext, before: Option<&SignInProvider>) -> Result<(), Problem> {
        let texts = [&self.issuer, &self.client_id].into_iter().chain(self.groups_claim.iter()).chain(&self.scopes);
        let mut texts = texts.chain(self.group_mapping.keys()).chain(&self.email_domains);
        if self.client_id.is_empty() || texts.any(|text| text.len() > MAX_TEXT_BYTES || text.contains(char::is_control))
        {
            return Err(bad("A setting is empty, too long, or holds control characters.".to_owned()));
        }
        if self.scopes.len().max(self.group_mapping.len()).max(self.email_domains.len()) > MAX_ENTRIES {
            return Err(bad(format!("A list has more than {MAX_ENTRIES} entries.")));
        }
        if before.is_some_and(|before| before.issuer != self.issuer) {
            // Its secret would go to another place, and its people would be others.
            return Err(bad("The issuer cannot be changed. Add another provider and remove this one.".to_owned()));
        }
        let recognises = self.known_members == KnownMembers::AreRecognised
            || before.is_some_and(|before| before.settings.known_members == KnownMembers::AreRecognised);
        if recognises && context.actor.role != Role::Owner {
            let detail = "Only an owner may let a provider recognise members, or change one that does: it speaks for owners too.";
            return Err(Problem::new(ProblemKind::Forbidden, detail));
        }
        if self.known_members == KnownMembers::AreRecognised && self.email_domains.is_empty() {
            return Err(bad("To recognise members, name the domains that are your organisation's.".to_owned()));
        }
        Ok(())
    }
}

fn seal(app: &App, context: &CallContext, id: SignInProviderId, secret: &SecretString) -> Result<Sealed, Problem> {
    let sealed = app.sealing.seal(&secret_place(context.actor.organisation, id), secret);
    sealed.map_err(|error| bad(format!("The client secret cannot be kept: {error}.")))
}

fn bad(detail: String) -> Problem {
    Problem::new(ProblemKind::Unprocessable, detail)
}

fn stored(error: StoreError) -> Problem {
    match error {
        StoreError::Taken(what) => {
            Problem::new(ProblemKind::Taken, format!("There is {what} already. Choose another name, or remove one."))
        }
        error => error.into(),
    }
}
