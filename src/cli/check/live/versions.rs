//! Reads versions: of the API server, of HyperShift's API, of hypermirror's CRDs.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::{Api, Client};

use super::super::super::crd::management_crds;
use super::in_order;
use crate::client::cause::Cause;
use crate::client::deadline::answered;
use crate::diagnosis::{Diagnosis, versions};

const HYPERSHIFT: &str = "hypershift.openshift.io";

pub async fn diagnose(client: &Client) -> Vec<Diagnosis> {
    let mut found = Vec::new();
    match answered(client.apiserver_version()).await {
        Ok(info) => found.extend(versions::diagnose_kubernetes(&info.major, &info.minor, &info.git_version)),
        Err(error) => {
            let message = format!("the version of the API server could not be read: {}", Cause(&error));
            found.push(Diagnosis::not_checked(
                "APIServer/management",
                message,
                "check the connection to the API server",
            ));
        }
    }
    match answered(client.list_api_groups()).await {
        Ok(groups) => {
            let group = groups.groups.into_iter().find(|group| group.name == HYPERSHIFT);
            let served = group.map(|group| group.versions).unwrap_or_default();
            let served: Vec<String> = served.into_iter().map(|version| version.version).collect();
            found.extend(versions::diagnose_hypershift(&served));
        }
        Err(error) => {
            let message = format!("the versions of HyperShift's API could not be read: {}", Cause(&error));
            let object = format!("APIGroup/{HYPERSHIFT}");
            found.push(Diagnosis::not_checked(object, message, "check the connection to the API server"));
        }
    }
    found.extend(diagnose_crds(client).await);
    found
}

/// Compares the CRDs that are installed. Missing ones are reported where their objects are listed, or are not used.
async fn diagnose_crds(client: &Client) -> Vec<Diagnosis> {
    let own = management_crds().unwrap_or_default();
    let read = |crd: serde_json::Value| async move {
        let name = crd["metadata"]["name"].as_str().unwrap_or_default().to_owned();
        let api: Api<CustomResourceDefinition> = Api::all(client.clone());
        let installed = answered(api.get_opt(&name)).await;
        (name, crd, installed)
    };
    let mut found = Vec::new();
    for (name, crd, installed) in in_order(own.into_iter().map(read)).await {
        match installed {
            Ok(None) => {}
            Ok(Some(installed)) => {
                let installed = serde_json::to_value(&installed).unwrap_or_default();
                found.extend(versions::diagnose_crd(&crd, &installed));
            }
            Err(error) => {
                let message = format!("the CRD could not be read: {}", Cause(&error));
                let object = format!("CustomResourceDefinition/{name}");
                let cure = "run check as a user that may get CustomResourceDefinitions";
                found.push(Diagnosis::not_checked(object, message, cure));
            }
        }
    }
    found
}
