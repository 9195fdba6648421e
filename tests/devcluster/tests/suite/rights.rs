//! Who may do what, in the recorded words.

use podlatch_devcluster::{Grant, GrantScope, Rule, Subject};
use serde_json::json;

use crate::support::{Ask, Exec, exec_path, small_cluster};

const V5: &[&str] = &["v5.channel.k8s.io"];

fn shell_path() -> String {
    exec_path("bb", &["sh"], "stdin=true&stdout=true&tty=true")
}

#[tokio::test]
async fn exec_needs_both_verbs_and_names_the_missing_one_only_for_get() {
    let cluster = small_cluster().await;
    let refused = |user: &'static str| {
        let ask = Ask::of(&cluster, user);
        async move { Exec::try_open(ask, &shell_path(), V5).await.err().expect("is refused") }
    };
    let create_only = refused("exec-create-only").await;
    assert_eq!(create_only.status, 403);
    assert_eq!(
        create_only.json()["message"],
        "pods \"bb\" is forbidden: User \"exec-create-only\" cannot get resource \"pods/exec\" in API group \"\" in \
         the namespace \"default\""
    );
    let get_only = refused("exec-get-only").await;
    assert_eq!(get_only.status, 403);
    assert_eq!(get_only.json()["message"], "pods \"bb\" is forbidden: ");
    assert_eq!(get_only.json()["details"], json!({"name": "bb", "kind": "pods"}));
    assert!(Exec::try_open(Ask::of(&cluster, "podlatch-agent"), &shell_path(), V5).await.is_ok());
    cluster.shutdown().await;
}

#[tokio::test]
async fn an_unknown_token_and_none_at_all_are_unauthorized() {
    let cluster = small_cluster().await;
    for token in [None, Some("nobody".to_owned())] {
        let ask = Ask { token, ..Ask::of(&cluster, "admin") };
        let answer = ask.get("/api/v1/pods").await;
        assert_eq!(answer.status, 401);
        assert_eq!(
            answer.json(),
            json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
                "message": "Unauthorized", "reason": "Unauthorized", "code": 401})
        );
    }
    cluster.shutdown().await;
}

#[tokio::test]
async fn a_list_without_the_right_is_refused_in_kubernetes_words() {
    let cluster = small_cluster().await;
    let alice = Ask::of(&cluster, "alice");
    assert_eq!(
        alice.get("/api/v1/namespaces/shop/pods").await.json()["message"],
        "pods is forbidden: User \"alice\" cannot list resource \"pods\" in API group \"\" in the namespace \"shop\""
    );
    assert_eq!(
        alice.get("/apis/apps/v1/deployments?watch=true").await.json()["message"],
        "deployments.apps is forbidden: User \"alice\" cannot watch resource \"deployments\" in API group \"apps\" at \
         the cluster scope"
    );
    assert_eq!(
        alice.get("/devcluster/drop-connections").await.json()["message"],
        "forbidden: User \"alice\" cannot get path \"/devcluster/drop-connections\""
    );
    assert_eq!(alice.get("/version").await.status, 200);
    cluster.shutdown().await;
}

#[tokio::test]
async fn impersonation_takes_the_right_to_and_gives_the_rights_of_the_other() {
    let cluster = small_cluster().await;
    let as_alice = |user| Ask::of(&cluster, user).header("impersonate-user", "alice");
    let refused = as_alice("podlatch-agent").get("/api/v1/pods").await;
    assert_eq!(
        refused.json()["message"],
        "users \"alice\" is forbidden: User \"system:serviceaccount:podlatch:podlatch-agent\" cannot impersonate \
         resource \"users\" in API group \"\" at the cluster scope"
    );
    let acting = as_alice("podlatch-agent-impersonating").get("/api/v1/pods").await;
    assert!(acting.json()["message"].as_str().is_some_and(|text| text.contains("User \"alice\" cannot list")));
    let group = Subject::Group("readers".to_owned());
    let rules = vec![Rule::new(&["list"], "", &["pods"])];
    cluster.grant(Grant { subject: group, scope: GrantScope::Cluster, rules });
    let in_group = as_alice("podlatch-agent-impersonating").header("impersonate-group", "readers");
    assert_eq!(in_group.get("/api/v1/pods").await.status, 200);
    let extra = as_alice("podlatch-agent-impersonating").header("impersonate-extra-reason", "x");
    assert_eq!(extra.get("/api/v1/pods").await.status, 403);
    cluster.shutdown().await;
}

#[tokio::test]
async fn access_reviews_tell_what_the_asker_may() {
    let cluster = small_cluster().await;
    for (user, namespace, allowed) in [
        ("shop-only", "shop", true),
        ("shop-only", "default", false),
        ("alice", "shop", false),
        ("admin", "shop", true),
    ] {
        let spec = json!({"resourceAttributes":
            {"namespace": namespace, "verb": "create", "resource": "pods", "subresource": "exec"}});
        let review = json!({"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview", "spec": spec});
        let path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews";
        let answer = Ask::of(&cluster, user).send("POST", path, &review.to_string()).await;
        assert_eq!(answer.status, 201);
        assert_eq!(
            answer.json(),
            json!({"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview", "metadata": {},
                "spec": spec, "status": {"allowed": allowed}}),
            "{user} in {namespace}"
        );
    }
    cluster.shutdown().await;
}

#[tokio::test]
async fn rights_change_at_once() {
    let cluster = small_cluster().await;
    let agent = Ask::of(&cluster, "podlatch-agent");
    assert_eq!(agent.get("/api/v1/pods").await.status, 200);
    cluster.revoke(&Subject::User("system:serviceaccount:podlatch:podlatch-agent".to_owned()));
    assert_eq!(agent.get("/api/v1/pods").await.status, 403);
    cluster.shutdown().await;
}
