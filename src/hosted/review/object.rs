//! Parses the objects of a write from JSON. Only relevant fields are stored, to limit memory.

use std::fmt;

use hypermirror_api::names;
use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, SeqAccess, Visitor};
use serde_json::value::RawValue;

use crate::hosted::observed::{ArgumentEntry, EnvEntry, ObservedContainer};
use crate::hosted::target::{ArgumentForm, ArgumentList};

/// An object with the spec of its kind.
#[derive(Debug, Deserialize)]
pub struct Object<S> {
    #[serde(default = "none")]
    pub metadata: Option<Metadata>,
    #[serde(default = "none")]
    pub spec: Option<S>,
}

fn none<T>() -> Option<T> {
    None
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Metadata {
    pub name: Option<String>,
    pub deletion_timestamp: Option<IgnoredAny>,
    pub annotations: Option<Annotations>,
}

/// The annotations of hypermirror on target Deployments.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Annotations {
    #[serde(rename = "hypermirror.dev/overrides")]
    pub overrides: Option<String>,
    #[serde(rename = "hypermirror.dev/registry-overrides-argument")]
    pub argument: Option<String>,
}

/// The relevant spec of a HostedCluster.
#[derive(Debug, Deserialize)]
pub struct HostedClusterSpec<'a> {
    #[serde(default, borrow, rename = "imageMirrorConfigRef")]
    pub reference: Option<&'a RawValue>,
}

/// The relevant spec of a Deployment. The same API server serializes both objects, so equal templates have equal texts.
#[derive(Debug, Deserialize)]
pub struct DeploymentSpec<'a> {
    #[serde(default, borrow)]
    pub template: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct PodTemplate<'a> {
    #[serde(default, borrow)]
    spec: Option<PodSpec<'a>>,
}

#[derive(Deserialize)]
struct PodSpec<'a> {
    #[serde(default, borrow)]
    containers: Option<&'a RawValue>,
}

/// The container of this name in a pod template.
///
/// # Errors
/// If the text is not a pod template.
pub fn container(template: &RawValue, name: &str) -> serde_json::Result<Option<ObservedContainer>> {
    let template: PodTemplate<'_> = serde_json::from_str(template.get())?;
    let Some(containers) = template.spec.and_then(|spec| spec.containers) else { return Ok(None) };
    ContainerNamed(name).deserialize(&mut serde_json::Deserializer::from_str(containers.get()))
}

/// Parses one container of a list, so that only one is in memory.
struct ContainerNamed<'n>(&'n str);

impl<'de> DeserializeSeed<'de> for ContainerNamed<'_> {
    type Value = Option<ObservedContainer>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for ContainerNamed<'_> {
    type Value = Option<ObservedContainer>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a list of containers")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        let (mut found, mut index) = (None, 0);
        while let Some(container) = list.next_element::<Container>()? {
            if found.is_none() && container.name.as_deref() == Some(self.0) {
                found = Some(container.observed(index));
            }
            index += 1;
        }
        Ok(found)
    }
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Container {
    name: Option<String>,
    env: Option<Overrides>,
    command: Option<Words>,
    args: Option<Words>,
}

impl Container {
    fn observed(self, index: usize) -> ObservedContainer {
        let (command, args) = (self.command.unwrap_or_default(), self.args.unwrap_or_default());
        let of_command = command.arguments.into_iter().map(|argument| argument.entry(ArgumentList::Command));
        let of_args = args.arguments.into_iter().map(|argument| argument.entry(ArgumentList::Args));
        ObservedContainer {
            index,
            has_env: self.env.is_some(),
            env: self.env.map(|env| env.0).unwrap_or_default(),
            args_len: args.len,
            command_len: command.len,
            arguments: of_command.chain(of_args).collect(),
        }
    }
}

/// Each `OPENSHIFT_IMG_OVERRIDES` of a list of environment variables.
struct Overrides(Vec<EnvEntry>);

#[derive(Default, Deserialize)]
#[serde(default)]
struct Variable {
    name: Option<String>,
    value: Option<String>,
}

impl<'de> Deserialize<'de> for Overrides {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct List;
        impl<'de> Visitor<'de> for List {
            type Value = Overrides;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a list of environment variables")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Overrides, A::Error> {
                let (mut found, mut index) = (Vec::new(), 0);
                while let Some(variable) = list.next_element::<Variable>()? {
                    if variable.name.as_deref() == Some(names::OVERRIDES_ENV) {
                        found.push(EnvEntry { index, value: variable.value.unwrap_or_default().into() });
                    }
                    index += 1;
                }
                Ok(Overrides(found))
            }
        }
        deserializer.deserialize_seq(List)
    }
}

/// Each `--registry-overrides` of a list of words.
#[derive(Default)]
struct Words {
    /// Number of words. `None` without a list.
    len: Option<usize>,
    arguments: Vec<Argument>,
}

struct Argument {
    index: usize,
    /// Whether its value is a separate word.
    split: bool,
    value: String,
}

impl Argument {
    fn entry(self, list: ArgumentList) -> ArgumentEntry {
        let form = ArgumentForm { list, split: self.split };
        ArgumentEntry { form, index: self.index, value: self.value.into() }
    }
}

impl<'de> Deserialize<'de> for Words {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct List;
        impl<'de> Visitor<'de> for List {
            type Value = Words;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a list of words")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Words, A::Error> {
                let (mut arguments, mut len, mut awaits_value) = (Vec::new(), 0, false);
                while let Some(word) = list.next_element::<String>()? {
                    let joined = word.strip_prefix(names::OVERRIDES_ARGUMENT).and_then(|rest| rest.strip_prefix('='));
                    if std::mem::take(&mut awaits_value) {
                        arguments.push(Argument { index: len - 1, split: true, value: word });
                    } else if let Some(value) = joined {
                        arguments.push(Argument { index: len, split: false, value: value.to_owned() });
                    } else {
                        awaits_value = word == names::OVERRIDES_ARGUMENT;
                    }
                    len += 1;
                }
                Ok(Words { len: Some(len), arguments })
            }
        }
        deserializer.deserialize_seq(List)
    }
}
