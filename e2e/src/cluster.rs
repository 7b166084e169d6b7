//! One cluster of a test bed: its API server, which can be stopped and started, and clients for any user.

use std::{
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
    time::Duration,
};

use anyhow::{Context, Result, anyhow, bail};
use k8s_openapi::api::authentication::v1::{TokenRequest, TokenRequestSpec};
use k8s_openapi::api::core::v1::ServiceAccount;
use kube::{Api, Client, api::PostParams};

use crate::{
    audit::Audit,
    binaries::Servers,
    credentials::{self, Credentials},
    eventually,
    files::ClusterFiles,
    pki::Validity,
    process::{Handle, Launch, Process, Signal, tail},
    servers::{controller_manager, scheduler},
};

/// Three servers start together in about 5 s on two cores; several beds at once take longer.
const START_LIMIT: Duration = Duration::from_mins(1);
/// The validity of tokens, in seconds: the default of an hour ends before a long benchmark does, and nothing renews them.
const VALIDITY: i64 = 24 * 60 * 60;

/// A cluster: an API server with its own certificate authority, keys, data and audit log.
#[derive(Debug)]
pub struct Cluster {
    name: String,
    port: u16,
    files: ClusterFiles,
    api_server: Launch,
    running: Mutex<Option<Process>>,
    controller_manager: Mutex<Option<Process>>,
    scheduler: Mutex<Option<Process>>,
}

impl Cluster {
    pub(crate) fn new(name: &str, port: u16, files: ClusterFiles, api_server: Launch) -> Self {
        let (running, controller_manager, scheduler) = (Mutex::new(None), Mutex::new(None), Mutex::new(None));
        Self { name: name.to_owned(), port, files, api_server, running, controller_manager, scheduler }
    }

    pub(crate) fn start_controller_manager(&self, servers: &Servers, detached: bool) -> Result<()> {
        let process = controller_manager(servers, &self.files)?.detached(detached).spawn()?;
        *self.controller_manager.lock().unwrap_or_else(PoisonError::into_inner) = Some(process);
        Ok(())
    }

    pub(crate) fn has_controller_manager(&self) -> bool {
        self.controller_manager.lock().unwrap_or_else(PoisonError::into_inner).is_some()
    }

    /// Whether its servers continue to run when it is dropped.
    pub(crate) fn detached(&self) -> bool {
        self.api_server.is_detached()
    }

    /// Starts a scheduler, unless there is one: nodes share it.
    pub(crate) fn start_scheduler(&self, servers: &Servers) -> Result<()> {
        let mut slot = self.scheduler.lock().unwrap_or_else(PoisonError::into_inner);
        if slot.is_none() {
            *slot = Some(scheduler(servers, &self.files)?.detached(self.detached()).spawn()?);
        }
        Ok(())
    }

    /// `management`, `guest-0`, `guest-1` and so on.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The URL of its API server.
    pub fn url(&self) -> String {
        format!("https://127.0.0.1:{}", self.port)
    }

    /// The port of its API server on the loopback address.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Its own directory: logs, keys, kubeconfigs.
    pub fn directory(&self) -> &Path {
        &self.files.directory
    }

    /// The certificate of its authority, PEM.
    pub fn authority_certificate(&self) -> String {
        self.files.authority.certificate()
    }

    /// A file with the administrator's kubeconfig.
    pub fn kubeconfig_path(&self) -> PathBuf {
        self.files.kubeconfig("admin")
    }

    /// A client for the administrator (group `system:masters`), on the runtime of the caller.
    ///
    /// # Errors
    ///
    /// If the client cannot be made.
    pub async fn admin_client(&self) -> Result<Client> {
        self.client(&self.certificate("admin", Some("system:masters"), Validity::Current)?).await
    }

    /// A client for a user of this name, by client certificate.
    ///
    /// # Errors
    ///
    /// If the certificate or the client cannot be made.
    pub async fn client_for_user(&self, user: &str, group: Option<&str>) -> Result<Client> {
        self.client(&self.certificate(user, group, Validity::Current)?).await
    }

    /// A client for a ServiceAccount, by token. The ServiceAccount is made if it is not there.
    ///
    /// # Errors
    ///
    /// If there is no namespace of that name, or no token is given.
    pub async fn client_for_service_account(&self, namespace: &str, name: &str) -> Result<Client> {
        self.client(&self.token(namespace, name).await?).await
    }

    /// A file with a kubeconfig for a ServiceAccount, such as a process under test needs. The ServiceAccount is made if
    /// it is not there.
    ///
    /// # Errors
    ///
    /// If there is no namespace of that name, or no token is given.
    pub async fn kubeconfig_for_service_account(&self, namespace: &str, name: &str) -> Result<PathBuf> {
        let path = self.files.kubeconfig(&format!("{namespace}-{name}"));
        std::fs::write(&path, self.kubeconfig(&self.token(namespace, name).await?)?)?;
        Ok(path)
    }

    /// A kubeconfig for this cluster, as text: for a file, or for the Secret of a guest.
    ///
    /// # Errors
    ///
    /// If it cannot be written as YAML.
    pub fn kubeconfig(&self, credentials: &Credentials) -> Result<String> {
        credentials::kubeconfig(&self.name, &self.url(), &self.authority_certificate(), credentials)
    }

    /// A certificate of the cluster's authority for a user, for [`Cluster::kubeconfig`].
    ///
    /// # Errors
    ///
    /// If it cannot be signed.
    pub fn certificate(&self, user: &str, group: Option<&str>, validity: Validity) -> Result<Credentials> {
        Ok(Credentials::Certificate(self.files.authority.client(user, group, validity)?))
    }

    /// A token for a ServiceAccount, for [`Cluster::kubeconfig`]. The ServiceAccount is made if it is not there.
    ///
    /// # Errors
    ///
    /// If there is no namespace of that name, or no token is given.
    pub async fn token(&self, namespace: &str, name: &str) -> Result<Credentials> {
        let api: Api<ServiceAccount> = Api::namespaced(self.admin_client().await?, namespace);
        let mut account = ServiceAccount::default();
        account.metadata.name = Some(name.to_owned());
        match api.create(&PostParams::default(), &account).await {
            Ok(_) => {}
            Err(kube::Error::Api(status)) if status.is_already_exists() => {}
            Err(error) => return Err(error).context("failed to create the ServiceAccount"),
        }
        let spec = TokenRequestSpec { expiration_seconds: Some(VALIDITY), ..TokenRequestSpec::default() };
        let request = TokenRequest { spec, ..TokenRequest::default() };
        let answer = api.create_token_request(name, &PostParams::default(), &request).await?;
        let token = answer.status.ok_or_else(|| anyhow!("no token for {namespace}/{name}"))?.token;
        Ok(Credentials::Token(token))
    }

    /// A client with these credentials, on the runtime of the caller.
    ///
    /// # Errors
    ///
    /// If the client cannot be made.
    pub async fn client(&self, credentials: &Credentials) -> Result<Client> {
        credentials::client(&self.kubeconfig(credentials)?).await
    }

    /// The audit log of the cluster.
    ///
    /// # Errors
    ///
    /// If the client that reads along cannot be made.
    pub async fn audit(&self) -> Result<Audit> {
        Ok(Audit::new(self.files.audit_log(), self.admin_client().await?))
    }

    /// Starts the API server and waits until it is ready: the same port, the same data.
    ///
    /// # Errors
    ///
    /// If it runs already or does not get ready.
    pub async fn start_api_server(&self) -> Result<()> {
        {
            let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
            if running.is_some() {
                bail!("the API server of {} runs already", self.name);
            }
            *running = Some(self.api_server.spawn()?);
        }
        self.wait_until_ready().await
    }

    /// Ends the API server in order (SIGTERM). Its port refuses connections afterwards.
    ///
    /// # Errors
    ///
    /// If it does not run.
    pub async fn stop_api_server(&self) -> Result<()> {
        self.take_api_server()?.stop().await.map(|_| ())
    }

    /// Ends the API server at once (SIGKILL).
    ///
    /// # Errors
    ///
    /// If it does not run.
    pub fn kill_api_server(&self) -> Result<()> {
        self.take_api_server()?.kill().map(|_| ())
    }

    /// Freezes the API server: connections are accepted, but requests get no response. Do not use this on a shared test bed,
    /// because a frozen server does not notice that its test program has ended.
    ///
    /// # Errors
    ///
    /// If it does not run.
    pub async fn freeze_api_server(&self) -> Result<()> {
        let handle = self.with_api_server(|server| Handle::open(server.handle().id()))?;
        handle.context("the API server has exited")?.freeze().await
    }

    /// Resumes a frozen API server.
    ///
    /// # Errors
    ///
    /// If it does not run.
    pub fn thaw_api_server(&self) -> Result<()> {
        self.with_api_server(|server| server.handle().signal(Signal::CONT))
    }

    /// The process id of the API server, if it runs.
    pub fn api_server_id(&self) -> Option<u32> {
        self.with_api_server(|server| Ok(server.handle().id())).ok()
    }

    async fn wait_until_ready(&self) -> Result<()> {
        let client = self.admin_client().await?;
        eventually(START_LIMIT, &format!("the API server of {} is ready", self.name), async || {
            self.with_api_server(|server| match server.exit_status()? {
                Some(status) => bail!("it exited ({status}); its log:\n{}", tail(&server.log()?)),
                None => Ok(()),
            })?;
            client.request_text(http::Request::get("/readyz").body(Vec::new())?).await?;
            Ok(Some(()))
        })
        .await
    }

    fn take_api_server(&self) -> Result<Process> {
        let process = self.running.lock().unwrap_or_else(PoisonError::into_inner).take();
        process.with_context(|| format!("the API server of {} does not run", self.name))
    }

    fn with_api_server<T>(&self, act: impl FnOnce(&mut Process) -> Result<T>) -> Result<T> {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        act(running.as_mut().with_context(|| format!("the API server of {} does not run", self.name))?)
    }

    /// Asks its processes to end without waiting, so that those of several clusters end together.
    pub(crate) fn terminate(&self) {
        for slot in [&self.scheduler, &self.controller_manager, &self.running] {
            if let Some(process) = slot.lock().unwrap_or_else(PoisonError::into_inner).as_ref() {
                // If the signal fails, the process is killed on drop.
                _ = process.handle().terminate();
            }
        }
    }

    /// Ends its processes, the API server last.
    pub(crate) fn end(&mut self) {
        for slot in [&mut self.scheduler, &mut self.controller_manager, &mut self.running] {
            drop(slot.get_mut().unwrap_or_else(PoisonError::into_inner).take());
        }
    }
}
