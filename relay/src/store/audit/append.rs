//! Appending: the caller gives ids, the names are looked up here.

use podlatch_protocol::id::{OrganisationId, SessionId};
use podlatch_protocol::target::ContainerName;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::domain::audit::{ActorKind, ActorRef, Appended, EventActor, MAX_USER_AGENT_BYTES, NewEvent, Place, cut};
use crate::domain::organisation::ClientInfo;
use crate::store::engine::{execute, fetch_optional};
use crate::store::rows::{known, number};
use crate::store::{StoreError, Tx};

/// What an operator, the relay and those without a name are called.
const UNNAMED: &str = "";

/// An address has no more bytes than this.
const MAX_ADDRESS_BYTES: usize = 64;

/// Appends an event within a transaction, whose last statement this should be. [`StoreError::Missing`] if the event names
/// a session or cluster that the organisation does not have.
pub(in crate::store) async fn append(tx: &mut Tx, event: &NewEvent) -> Result<Appended, StoreError> {
    if let Some(earlier) = appended_before(tx, event).await? {
        return Ok(earlier);
    }
    let facts = Facts::look_up(tx, event).await?;
    let position = next_position(tx, event.organisation).await?;
    let sequence = match event.place {
        Place::Session(session) => Some(next_sequence(tx, session).await?),
        Place::Organisation | Place::Cluster(_) | Place::Pod(..) => None,
    };
    let id = event_id(event, position);
    insert(tx, event, &facts, (id, position, sequence)).await?;
    Ok(Appended {
        id,
        position: number("audit_events.position", position)?,
        sequence: sequence.map(|sequence| number("audit_events.sequence", sequence)).transpose()?,
        fresh: true,
    })
}

/// The event of the same session and key, if there is one. Takes the organisation's lock before it looks.
async fn appended_before(tx: &mut Tx, event: &NewEvent) -> Result<Option<Appended>, StoreError> {
    let (Place::Session(session), Some(key)) = (&event.place, &event.dedupe_key) else {
        return Ok(None);
    };
    execute!(
        tx.on(),
        "INSERT INTO audit_positions (organisation_id, position) VALUES ($1, 0)
         ON CONFLICT (organisation_id) DO UPDATE SET position = audit_positions.position",
        event.organisation.as_uuid(),
    )?;
    let row = fetch_optional!(
        tx.on(),
        (Uuid, i64, Option<i64>),
        "SELECT id, position, sequence FROM audit_events
         WHERE session_id = $1 AND dedupe_key = $2 AND organisation_id = $3",
        session.as_uuid(),
        key.as_str(),
        event.organisation.as_uuid(),
    )?;
    let appended = |(id, position, sequence): (Uuid, i64, Option<i64>)| {
        Ok(Appended {
            id,
            position: number("audit_events.position", position)?,
            sequence: sequence.map(|sequence| number("audit_events.sequence", sequence)).transpose()?,
            fresh: false,
        })
    };
    row.map(appended).transpose()
}

async fn next_position(tx: &mut Tx, organisation: OrganisationId) -> Result<i64, StoreError> {
    let row = fetch_optional!(
        tx.on(),
        (i64,),
        "INSERT INTO audit_positions (organisation_id, position) VALUES ($1, 1)
         ON CONFLICT (organisation_id) DO UPDATE SET position = audit_positions.position + 1 RETURNING position",
        organisation.as_uuid(),
    )?;
    known("audit_positions", row).map(|(position,)| position)
}

async fn next_sequence(tx: &mut Tx, session: SessionId) -> Result<i64, StoreError> {
    let row = fetch_optional!(
        tx.on(),
        (i64,),
        "INSERT INTO audit_sequences (session_id, sequence) VALUES ($1, 1)
         ON CONFLICT (session_id) DO UPDATE SET sequence = audit_sequences.sequence + 1 RETURNING sequence",
        session.as_uuid(),
    )?;
    known("audit_sequences", row).map(|(sequence,)| sequence)
}

/// The organisation and the position name an event already; the id is the same for those who want a UUIDv7.
fn event_id(event: &NewEvent, position: i64) -> Uuid {
    let hash: [u8; 32] =
        Sha256::new().chain_update(event.organisation.as_uuid()).chain_update(position.to_be_bytes()).finalize().into();
    let mut ten = [0; 10];
    ten.copy_from_slice(&hash[..10]);
    uuid::Builder::from_unix_timestamp_millis(event.at.since_epoch(), &ten).into_uuid()
}

/// What is looked up for an event.
struct Facts {
    actor: EventActor,
    user: Option<(Uuid, String)>,
    scene: Scene,
    client: Option<ClientInfo>,
}

#[derive(Default)]
struct Scene {
    cluster: Option<(Uuid, String)>,
    namespace: Option<String>,
    pod: Option<String>,
    container: Option<String>,
}

#[derive(sqlx::FromRow)]
struct SessionFacts {
    user_id: Uuid,
    email: String,
    cluster_id: Uuid,
    cluster_name: String,
    namespace: String,
    pod: String,
    container: Option<String>,
    client_ip: String,
    user_agent: String,
}

impl Facts {
    async fn look_up(tx: &mut Tx, event: &NewEvent) -> Result<Self, StoreError> {
        let (scene, session_user, session_client) = match &event.place {
            Place::Organisation => (Scene::default(), None, None),
            Place::Cluster(cluster) => {
                let cluster = named_cluster(tx, event.organisation, cluster.as_uuid()).await?;
                (Scene { cluster: Some(cluster), ..Scene::default() }, None, None)
            }
            Place::Pod(cluster, target) => {
                let scene = Scene {
                    cluster: Some(named_cluster(tx, event.organisation, cluster.as_uuid()).await?),
                    namespace: Some(target.namespace.as_str().to_owned()),
                    pod: Some(target.pod.as_str().to_owned()),
                    container: target.container.as_ref().map(ContainerName::as_str).map(str::to_owned),
                };
                (scene, None, None)
            }
            Place::Session(session) => session_facts(tx, event.organisation, *session).await?.apart(),
        };
        let about = match event.about {
            Some(user) => Some(named_user(tx, user.as_uuid()).await?),
            None => session_user,
        };
        let (actor, acting) = actor(tx, event.origin.actor, about.as_ref()).await?;
        Ok(Self { actor, user: about.or(acting), scene, client: event.origin.client.clone().or(session_client) })
    }
}

impl SessionFacts {
    fn apart(self) -> (Scene, Option<(Uuid, String)>, Option<ClientInfo>) {
        let scene = Scene {
            cluster: Some((self.cluster_id, self.cluster_name)),
            namespace: Some(self.namespace),
            pod: Some(self.pod),
            container: self.container,
        };
        let client = ClientInfo { ip: self.client_ip, user_agent: self.user_agent };
        (scene, Some((self.user_id, self.email)), Some(client))
    }
}

type Person = (Uuid, String);

/// Who acts, and the person, if it is one.
async fn actor(
    tx: &mut Tx,
    actor: ActorRef,
    session_user: Option<&Person>,
) -> Result<(EventActor, Option<Person>), StoreError> {
    let unnamed = |kind, id| EventActor { kind, id, name: UNNAMED.to_owned() };
    let person = match actor {
        ActorRef::User(user) => named_user(tx, user.as_uuid()).await?,
        ActorRef::SessionUser => session_user.cloned().ok_or(StoreError::Missing("the session"))?,
        ActorRef::Unknown => return Ok((unnamed(ActorKind::Unknown, None), None)),
        ActorRef::System => return Ok((unnamed(ActorKind::System, None), None)),
        ActorRef::Agent(agent) => return Ok((unnamed(ActorKind::Agent, Some(agent.as_uuid())), None)),
        ActorRef::Operator => return Ok((unnamed(ActorKind::Operator, None), None)),
    };
    let actor = EventActor { kind: ActorKind::User, id: Some(person.0), name: person.1.clone() };
    Ok((actor, Some(person)))
}

async fn named_user(tx: &mut Tx, id: Uuid) -> Result<Person, StoreError> {
    let row = fetch_optional!(tx.on(), (String,), "SELECT email FROM users WHERE id = $1", id)?;
    row.map(|(email,)| (id, email)).ok_or(StoreError::Missing("the person"))
}

async fn named_cluster(tx: &mut Tx, organisation: OrganisationId, id: Uuid) -> Result<(Uuid, String), StoreError> {
    let row = fetch_optional!(
        tx.on(),
        (String,),
        "SELECT name FROM clusters WHERE organisation_id = $1 AND id = $2",
        organisation.as_uuid(),
        id,
    )?;
    row.map(|(name,)| (id, name)).ok_or(StoreError::Missing("the cluster"))
}

async fn session_facts(
    tx: &mut Tx,
    organisation: OrganisationId,
    session: SessionId,
) -> Result<SessionFacts, StoreError> {
    let row = fetch_optional!(
        tx.on(),
        SessionFacts,
        "SELECT s.user_id, u.email, s.cluster_id, c.name AS cluster_name, s.namespace, s.pod,
             COALESCE(s.container, s.asked_container) AS container, s.client_ip, s.user_agent
         FROM sessions s JOIN clusters c ON c.id = s.cluster_id JOIN users u ON u.id = s.user_id
         WHERE s.organisation_id = $1 AND s.id = $2",
        organisation.as_uuid(),
        session.as_uuid(),
    )?;
    row.ok_or(StoreError::Missing("the session"))
}

async fn insert(
    tx: &mut Tx,
    event: &NewEvent,
    facts: &Facts,
    (id, position, sequence): (Uuid, i64, Option<i64>),
) -> Result<(), StoreError> {
    let session = match event.place {
        Place::Session(session) => Some(session.as_uuid()),
        Place::Organisation | Place::Cluster(_) | Place::Pod(..) => None,
    };
    let client = facts.client.as_ref();
    let (cluster, user) = (facts.scene.cluster.as_ref(), facts.user.as_ref());
    execute!(
        tx.on(),
        "INSERT INTO audit_events (id, organisation_id, position, session_id, sequence, at, action, outcome, actor_kind,
             actor_id, actor_name, user_id, user_name, cluster_id, cluster_name, namespace, pod, container, command,
             client_ip, user_agent, details, dedupe_key)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23)",
        id,
        event.organisation.as_uuid(),
        position,
        session,
        sequence,
        event.at.get(),
        event.action.slug(),
        event.outcome.slug(),
        facts.actor.kind.slug(),
        facts.actor.id,
        facts.actor.name.as_str(),
        user.map(|(id, _)| *id),
        user.map(|(_, name)| name.as_str()),
        cluster.map(|(id, _)| *id),
        cluster.map(|(_, name)| name.as_str()),
        facts.scene.namespace.as_deref(),
        facts.scene.pod.as_deref(),
        facts.scene.container.as_deref(),
        event.command.as_deref(),
        client.map(|client| cut(&client.ip, MAX_ADDRESS_BYTES)).filter(|ip| !ip.is_empty()),
        client.map(|client| cut(&client.user_agent, MAX_USER_AGENT_BYTES)).filter(|agent| !agent.is_empty()),
        event.details.to_string(),
        event.dedupe_key.as_deref(),
    )?;
    Ok(())
}
