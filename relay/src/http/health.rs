//! Probes: for whoever runs the relay, without a login, by any host name.

use axum::extract::State;
use http::StatusCode;

use crate::app::App;
use crate::store::SchemaState;

/// `GET /healthz`: the process answers.
pub async fn live() -> (StatusCode, &'static str) {
    (StatusCode::OK, "ok\n")
}

/// `GET /readyz`: the relay can do its work and is not stopping.
pub async fn ready(State(app): State<App>) -> (StatusCode, &'static str) {
    if app.lifecycle.draining().is_cancelled() {
        return (StatusCode::SERVICE_UNAVAILABLE, "stopping\n");
    }
    match app.store.check().await {
        Ok(SchemaState::Current | SchemaState::Newer) => (StatusCode::OK, "ready\n"),
        Ok(SchemaState::Behind) => (StatusCode::SERVICE_UNAVAILABLE, "the database's schema is behind\n"),
        Err(error) => {
            tracing::warn!(%error, "not ready");
            (StatusCode::SERVICE_UNAVAILABLE, "the database does not answer\n")
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::http::testing::TestRelay;

    #[tokio::test]
    async fn probes_answer_by_any_host_name_without_a_login() {
        let relay = TestRelay::new().await;
        for path in ["/healthz", "/readyz"] {
            let response = relay.get(path).header("host", "10.1.2.3:8080").send().await;
            assert_eq!(response.status, 200, "{path}");
        }
    }

    #[tokio::test]
    async fn a_stopping_relay_is_live_but_not_ready() {
        let relay = TestRelay::new().await;
        relay.app.lifecycle.drain();
        assert_eq!(relay.get("/healthz").send().await.status, 200);
        assert_eq!(relay.get("/readyz").send().await.status, 503);
    }

    #[tokio::test]
    async fn a_relay_without_its_database_is_not_ready() {
        let relay = TestRelay::new().await;
        relay.app.store.close().await;
        assert_eq!(relay.get("/readyz").send().await.status, 503);
    }
}
