//! The task that owns one agent's connection: it pings, notices silence, renews certificates and keeps the books.

mod about;
mod liveness;
mod renewal;

use std::time::{Duration, Instant};

use podlatch_link::disconnect::Disconnect;
use podlatch_protocol::control::{About, ToAgent, ToRelay};
use podlatch_protocol::limits::CONTROL_PING_INTERVAL;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use self::liveness::{Change, Liveness};
use self::renewal::Renewals;
use super::control::{Control, ControlError};
use super::handshake::Arrival;
use super::lives::Standing;
use super::registration::Registration;
use super::registry::Agents;
use super::{Context, audit};
use crate::clock::UnixMillis;
use crate::store::AgentSeen;

/// "Last seen" is written no more often than this.
const SEEN_EVERY: Duration = Duration::from_secs(30);

/// Owns the connection until it ends. Not cancel safe: cancel by `stop`.
pub(super) async fn own(context: Context, agents: &Agents, arrival: Arrival, stop: CancellationToken) {
    let Arrival { welcomed, connection, certificate, control } = arrival;
    let client = audit::client(&connection, &welcomed.hello.agent_version);
    let books = context.clone();
    let renewals = Renewals::new(context.clone(), certificate.identity, certificate.public_key, client.clone());
    let registration = agents.register(welcomed);
    if registration.standing() == Standing::Copied
        && let Err(error) =
            audit::cloned(&books, certificate.identity, client.clone(), "two processes use it at once").await
    {
        tracing::error!(agent.id = %certificate.identity.agent, %error, "a copied identity could not be noted");
    }
    let owner = Owner {
        context,
        registration,
        control,
        renewals,
        liveness: Liveness::new(Instant::now()),
        certified_until: certificate.expires_at,
        seen_at: None,
        introduced: false,
        pings: 0,
    };
    let reason = owner.run(stop).await;
    reason.close(&connection);
    audit::disconnected(&books, certificate.identity, client, reason).await;
}

struct Owner {
    context: Context,
    registration: Registration,
    control: Control,
    renewals: Renewals,
    liveness: Liveness,
    certified_until: UnixMillis,
    seen_at: Option<Instant>,
    introduced: bool,
    pings: u64,
}

impl Owner {
    async fn run(mut self, stop: CancellationToken) -> Disconnect {
        let mut ping = interval(CONTROL_PING_INTERVAL);
        ping.set_missed_tick_behavior(MissedTickBehavior::Delay);
        self.note_seen(Instant::now());
        loop {
            let step = tokio::select! {
                message = self.control.receive() => match message {
                    Ok(message) => self.handle(message),
                    Err(error) => Err(reason(&error)),
                },
                answer = self.renewals.finished() => self.renewed(answer).await,
                _ = ping.tick() => self.tick().await,
                () = stop.cancelled() => Err(Disconnect::ShuttingDown),
            };
            if let Err(reason) = step {
                return reason;
            }
        }
    }

    fn handle(&mut self, message: ToRelay) -> Result<(), Disconnect> {
        let now = Instant::now();
        if self.liveness.heard(now) == Some(Change::Answering) {
            self.registration.answering();
        }
        self.note_seen(now);
        match message {
            ToRelay::Pong(_) => {}
            ToRelay::Renew(request) => self.renewals.ask(request),
            ToRelay::Draining => self.registration.draining(),
            ToRelay::About(about) => self.note_about(about)?,
            ToRelay::Hello(_) => return Err(Disconnect::Protocol),
        }
        Ok(())
    }

    /// Keeps what the agent says of itself, once for each connection, beside it.
    fn note_about(&mut self, about: About) -> Result<(), Disconnect> {
        if std::mem::replace(&mut self.introduced, true) {
            return Err(Disconnect::Protocol);
        }
        let about = about::plain(about);
        self.registration.about(about.clone());
        let (context, handle) = (self.context.clone(), self.registration.handle().clone());
        self.context.tasks.spawn(async move {
            if let Err(error) = context.store.agent_about(handle.organisation(), handle.agent(), &about).await {
                tracing::warn!(agent.id = %handle.agent(), "what an agent says of itself could not be written: {error}");
            }
        });
        Ok(())
    }

    async fn tick(&mut self) -> Result<(), Disconnect> {
        if self.context.clock.now() >= self.certified_until {
            return Err(Disconnect::Expired);
        }
        if self.liveness.passed(Instant::now()) == Some(Change::Silent) {
            self.registration.silent();
        }
        self.pings += 1;
        self.control.send(&ToAgent::Ping(self.pings)).await.map_err(|error| reason(&error))
    }

    async fn renewed(&mut self, answer: renewal::Answer) -> Result<(), Disconnect> {
        if let Some(until) = answer.certified_until {
            self.certified_until = until;
        }
        self.control.send(&answer.message).await.map_err(|error| reason(&error))
    }

    /// Writes "last seen", beside the connection: a slow database must not make an agent look silent.
    fn note_seen(&mut self, now: Instant) {
        let first = self.seen_at.is_none();
        if self.seen_at.is_some_and(|seen| now.saturating_duration_since(seen) < SEEN_EVERY) {
            return;
        }
        self.seen_at = Some(now);
        let (context, handle) = (self.context.clone(), self.registration.handle().clone());
        self.context.tasks.spawn(async move {
            let hello = handle.hello();
            let versions =
                AgentSeen { agent_version: &hello.agent_version, kubernetes_version: &hello.kubernetes_version };
            let said = first.then_some(versions);
            let at = context.clock.now();
            if let Err(error) = context.store.touch_agent(handle.organisation(), handle.agent(), said, at).await {
                tracing::warn!(agent.id = %handle.agent(), "\"last seen\" could not be written: {error}");
            }
        });
    }
}

const fn reason(error: &ControlError) -> Disconnect {
    match error {
        ControlError::Ended => Disconnect::Done,
        ControlError::Protocol => Disconnect::Protocol,
        ControlError::TooSlow => Disconnect::TooSlow,
        ControlError::Codec(_) => Disconnect::Internal,
    }
}
