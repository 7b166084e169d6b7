//! Who may open it, and what it reads.

use anyhow::Result;
use hypermirror_e2e::Scene;
use hypermirror_e2e::fleet::objects::idms;
use hypermirror_e2e::pki::Validity;

use super::served::Dashboard;

const PAGES: [&str; 9] = [
    "/",
    "/coverage",
    "/findings",
    "/explain?image=s.example/app:v1",
    "/registries",
    "/images",
    "/imports",
    "/builds",
    "/clusters/clusters/a",
];

#[tokio::test]
async fn it_answers_only_who_has_its_token_asks_its_own_name_and_reads_no_secret() -> Result<()> {
    let scene = Scene::start().await?;
    scene.fleet.hosted_cluster("a", &[], "=").await?;
    scene.fleet.apply(&idms("one", &[("s.example", &["m.example/s"], None)])).await?;
    let mark = scene.audit.mark().await?;
    let dashboard = Dashboard::start(&scene.management().kubeconfig_path()).await?;
    let host = dashboard.host();
    let code = async |method: &str, target: &str, headers: &[(&str, &str)]| {
        dashboard.send(method, target, headers).await.map(|reply| reply.code)
    };
    let cookie = format!("hypermirror-{}={}", dashboard.port, dashboard.token());
    let known = [("Host", host.as_str()), ("Cookie", cookie.as_str())];

    assert_eq!(code("GET", "/", &known[..1]).await?, 401);
    assert_eq!(code("GET", "/?token=x", &known[..1]).await?, 403);
    assert_eq!(code("GET", "/", &[("Host", "evil.example"), known[1]]).await?, 421);
    assert_eq!(code("GET", &format!("http://evil.example:{}/", dashboard.port), &known).await?, 421);
    for method in ["POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"] {
        let reply = dashboard.send(method, "/", &known).await?;
        assert!(reply.code == 405 && reply.head.contains("allow: get"), "{method}: {reply:?}");
    }
    let admitted = dashboard.send("GET", &format!("/?token={}", dashboard.token()), &known[..1]).await?;
    assert_eq!(admitted.code, 303);
    assert!(
        admitted.head.contains("httponly; samesite=strict") && admitted.head.contains("location: /\r\n"),
        "{admitted:?}"
    );

    for path in PAGES {
        let reply = dashboard.get(path).await?;
        assert_eq!(reply.code, 200, "{path}: {reply:?}");
        for header in ["default-src 'none'", "nosniff", "no-referrer", "cache-control: no-store"] {
            assert!(reply.head.contains(header), "{path}: {header}: {}", reply.head);
        }
        assert!(!reply.head.contains("unsafe"), "{}", reply.head);
    }
    assert_eq!(dashboard.get("/clusters/clusters/none").await?.code, 404);
    assert_eq!(dashboard.get("/nothing").await?.code, 404);

    let events = scene.audit.since(mark).await?;
    let of_dashboard: Vec<_> = events.iter().filter(|event| event.user_agent.starts_with("hypermirror/")).collect();
    assert!(of_dashboard.iter().any(|event| event.resource == "hostedclusters"), "{events:?}");
    for event in of_dashboard {
        assert!(matches!(event.verb.as_str(), "get" | "list") && event.resource != "secrets", "{event:?}");
    }
    Ok(())
}

#[tokio::test]
async fn somebody_without_rights_reads_which_one_is_missing() -> Result<()> {
    let scene = Scene::start().await?;
    let cluster = scene.management();
    let nobody = cluster.certificate("nobody", None, Validity::Current)?;
    let kubeconfig = cluster.directory().join("nobody.kubeconfig");
    std::fs::write(&kubeconfig, cluster.kubeconfig(&nobody)?)?;
    let dashboard = Dashboard::start(&kubeconfig).await?;
    let reply = dashboard.get("/").await?;
    assert_eq!(reply.code, 502, "{reply:?}");
    assert!(reply.body.contains("HostedCluster") && reply.body.contains("forbidden"), "{}", reply.body);
    Ok(())
}
