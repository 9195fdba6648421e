//! `/api/v1/debug-images`: which images debug containers may have in the caller's organisation.

use axum::Json;
use axum::extract::State;
use podlatch_protocol::debug::DebugImage;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::app::App;
use crate::domain::access::Administration;
use crate::domain::audit::Place;
use crate::http::context::CallContext;
use crate::http::extract::JsonBody;
use crate::http::problem::{Problem, ProblemDocument, ProblemKind};

/// Most images that an organisation may allow.
const MAX_IMAGES: usize = 64;

/// The images of debug containers; none means that there are no debug containers.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DebugImagesBody {
    /// As Kubernetes writes them, at most 64. Each must have `sh` and `sleep`.
    #[schema(example = json!(["docker.io/library/busybox:1.36"]))]
    images: Vec<String>,
}

/// Shows which images may be chosen. Every member may see it, for they choose.
#[utoipa::path(
    get,
    path = "/debug-images",
    operation_id = "getDebugImages",
    tag = "settings",
    responses(
        (status = 200, body = DebugImagesBody),
        (status = "4XX", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub async fn get(State(app): State<App>, context: CallContext) -> Result<Json<DebugImagesBody>, Problem> {
    let images = app.store.debug_images(context.actor.organisation).await?;
    Ok(Json(DebugImagesBody { images: images.into_iter().map(String::from).collect() }))
}

/// Changes which images may be chosen.
#[utoipa::path(
    put,
    path = "/debug-images",
    operation_id = "setDebugImages",
    tag = "settings",
    request_body = DebugImagesBody,
    responses(
        (status = 200, body = DebugImagesBody),
        (status = "4XX", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub async fn put(
    State(app): State<App>,
    context: CallContext,
    JsonBody(body): JsonBody<DebugImagesBody>,
) -> Result<Json<DebugImagesBody>, Problem> {
    let organisation = context.require_administration(&app, Administration::Settings, Place::Organisation).await?;
    let wrong = |why: String| Problem::new(ProblemKind::Unprocessable, why);
    if body.images.len() > MAX_IMAGES {
        return Err(wrong(format!("There can be at most {MAX_IMAGES} images.")));
    }
    let images = body.images.into_iter().map(DebugImage::try_from).collect::<Result<Vec<_>, _>>();
    let images = images.map_err(|error| wrong(format!("{error}.")))?;
    app.store.set_debug_images(organisation, &images, (context.origin(), context.now)).await?;
    let images = app.store.debug_images(organisation).await?;
    Ok(Json(DebugImagesBody { images: images.into_iter().map(String::from).collect() }))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::domain::organisation::Role;
    use crate::http::testing::TestRelay;

    #[tokio::test]
    async fn administrators_choose_and_members_see() {
        let relay = TestRelay::new().await;
        let ada = relay.sign_in("ada@example.org").await;
        let mia = relay.joins(&ada, "mia@example.org", Role::Member).await;
        let path = "/api/v1/debug-images";
        let put = async |cookie: &str, images| {
            relay.request("PUT", path).cookie(cookie).json(json!({ "images": images })).send().await
        };
        assert_eq!(relay.get(path).cookie(&mia.cookie).send().await.json(), json!({ "images": [] }));
        assert_eq!(put(&ada.cookie, json!(["busybox:1.36", "alpine:3"])).await.status, 200);
        let seen = relay.get(path).cookie(&mia.cookie).send().await.json();
        assert_eq!(seen, json!({ "images": ["alpine:3", "busybox:1.36"] }));
        put(&mia.cookie, json!([])).await.assert_problem(403, "forbidden");
        put(&ada.cookie, json!(["not an image"])).await.assert_problem(422, "unprocessable");
        let eve = relay.sign_in("eve@example.org").await;
        assert_eq!(relay.get(path).cookie(&eve.cookie).send().await.json(), json!({ "images": [] }));
        let events = relay.get("/api/v1/audit-events?action=debug_images_changed").cookie(&ada.cookie).send().await;
        assert_eq!(events.json()["items"].as_array().map(Vec::len), Some(1));
    }
}
