//! The Deployments of a hosted control plane that read image overrides.

/// One target, and how it reads its overrides (HyperShift, `v2/controlplaneoperator`, `v2/ignitionserver`,
/// `v2/configoperator`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TargetSpec {
    /// The Deployment's name.
    pub deployment: String,
    /// The container's name.
    pub container: String,
    /// The form of the argument if the Deployment has none.
    pub form: ArgumentForm,
}

/// The form of `--registry-overrides`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ArgumentForm {
    /// The list with the argument.
    pub list: ArgumentList,
    /// Two elements (`--registry-overrides`, value) instead of one with `=`.
    pub split: bool,
}

/// The lists of arguments of a container.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ArgumentList {
    /// `args`.
    Args,
    /// `command`.
    Command,
}

impl ArgumentList {
    /// The field's name in a container.
    pub const fn field(self) -> &'static str {
        match self {
            Self::Args => "args",
            Self::Command => "command",
        }
    }
}

/// The parent. Its process writes the other two.
pub const CONTROL_PLANE_OPERATOR: &str = "control-plane-operator";
/// The target that resolves images without a fallback.
pub const IGNITION_SERVER: &str = "ignition-server";
/// The second child of the control-plane-operator.
pub const HOSTED_CLUSTER_CONFIG_OPERATOR: &str = "hosted-cluster-config-operator";

/// The three Deployments of stock HyperShift, with the parent first.
pub fn stock_targets() -> Vec<TargetSpec> {
    let target = |name: &str, list, split| TargetSpec {
        deployment: name.to_owned(),
        container: name.to_owned(),
        form: ArgumentForm { list, split },
    };
    vec![
        target(CONTROL_PLANE_OPERATOR, ArgumentList::Args, false),
        target(IGNITION_SERVER, ArgumentList::Args, true),
        target(HOSTED_CLUSTER_CONFIG_OPERATOR, ArgumentList::Command, true),
    ]
}

/// Parses `--target DEPLOYMENT[/CONTAINER]`: an additional Deployment, with its argument as one element of `args`.
///
/// # Errors
/// If it is not one or two lower-case DNS names.
pub fn parse_target(text: &str) -> Result<TargetSpec, String> {
    let (deployment, container) = text.split_once('/').unwrap_or((text, text));
    let valid = |name: &str| {
        !name.is_empty() && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
    };
    if !valid(deployment) || !valid(container) {
        return Err(format!("{text:?} is not DEPLOYMENT or DEPLOYMENT/CONTAINER with lower-case DNS names"));
    }
    let form = ArgumentForm { list: ArgumentList::Args, split: false };
    Ok(TargetSpec { deployment: deployment.to_owned(), container: container.to_owned(), form })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_further_target_names_a_deployment_and_maybe_its_container() {
        let both = parse_target("karpenter-operator/operator").unwrap();
        assert_eq!((both.deployment.as_str(), both.container.as_str()), ("karpenter-operator", "operator"));
        let one = parse_target("karpenter-operator").unwrap();
        assert_eq!(one.container, "karpenter-operator");
        for bad in ["", "/", "a/", "/b", "A", "a b"] {
            assert!(parse_target(bad).is_err(), "{bad:?}");
        }
    }
}
