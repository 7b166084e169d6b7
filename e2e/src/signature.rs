//! Signs images as cosign does, with a key pair.

use std::path::Path;

use anyhow::{Result, anyhow};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair as _};
use serde_json::json;

use crate::image::Image;

/// The beginning of a public key of P-256 in DER: its algorithm and the length of the point that follows.
const PUBLIC_KEY: [u8; 26] = [
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce,
    0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00,
];

/// A key pair.
pub struct SigningKey {
    pair: EcdsaKeyPair,
    random: SystemRandom,
}

impl SigningKey {
    /// Creates a key pair.
    ///
    /// # Errors
    ///
    /// If there is no randomness.
    pub fn new() -> Result<Self> {
        let random = SystemRandom::new();
        let failed = |error: &dyn std::fmt::Display| anyhow!("no key pair: {error}");
        let document = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &random);
        let document = document.map_err(|error| failed(&error))?;
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, document.as_ref(), &random);
        Ok(Self { pair: pair.map_err(|error| failed(&error))?, random })
    }

    /// The public key in PEM, as in `keyData` of a policy.
    pub fn public(&self) -> String {
        let der = [&PUBLIC_KEY[..], self.pair.public_key().as_ref()].concat();
        format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", STANDARD.encode(der))
    }

    /// Writes the signature of an image to `directory`. `name` is that of the repository in policies.
    ///
    /// # Errors
    ///
    /// If a file cannot be written.
    pub fn sign(&self, directory: &Path, name: &str, digest: &str) -> Result<Image> {
        let critical = json!({
            "identity": { "docker-reference": name },
            "image": { "docker-manifest-digest": digest },
            "type": "cosign container image signature",
        });
        let payload = serde_json::to_vec(&json!({ "critical": critical, "optional": null }))?;
        let signature = self.pair.sign(&self.random, &payload).map_err(|error| anyhow!("no signature: {error}"))?;
        Image::signature(directory, &payload, &STANDARD.encode(signature))
    }
}

/// The tag of the signature of an image.
pub fn tag(digest: &str) -> String {
    format!("{}.sig", digest.replace(':', "-"))
}
