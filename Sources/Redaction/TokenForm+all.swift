extension TokenForm {
    /// The forms that their issuers document. A new one is a line here and a line in the tests' generator. Left out are forms
    /// that harmless names have, too, such as `key-` and a digest: those are found next to the name of a secret only.
    static let all: [TokenForm] =
        Self.own + Self.hosting + Self.clouds + Self.models + Self.payments + Self.messages + Self.registries
        + Self.monitoring + Self.tools + Self.discord + Self.azure + Self.twilio

    private static let own: [TokenForm] = [
        TokenForm("orchestra-key", "relay_sk_", .url, 1, check: .none)
    ]

    private static let hosting: [TokenForm] = [
        TokenForm("github-token", "ghp_", .alnum, 36, check: .checksum),
        TokenForm("github-token", "gho_", .alnum, 36, check: .checksum),
        TokenForm("github-token", "ghu_", .alnum, 36, check: .checksum),
        TokenForm("github-token", "ghs_", .alnum, 36, check: .checksum),
        TokenForm("github-token", "ghr_", .alnum, 36, check: .checksum),
        // Pieces, as of a line that was cut.
        TokenForm("github-token", "ghp_", .alnum, 16, boundary: true),
        TokenForm("github-token", "gho_", .alnum, 16, boundary: true),
        TokenForm("github-token", "ghu_", .alnum, 16, boundary: true),
        TokenForm("github-token", "ghs_", .alnum, 16, boundary: true),
        TokenForm("github-token", "ghr_", .alnum, 16, boundary: true),
        TokenForm("github-token", "github_pat_", .word, 36),
        TokenForm("gitlab-token", "glpat-", .dotted, 20), TokenForm("gitlab-token", "gldt-", .dotted, 20),
        TokenForm("gitlab-token", "glptt-", .dotted, 20), TokenForm("gitlab-token", "glrt-", .dotted, 20),
        TokenForm("gitlab-token", "glrtr-", .dotted, 20), TokenForm("gitlab-token", "glcbt-", .dotted, 20),
        TokenForm("gitlab-token", "glimt-", .dotted, 20), TokenForm("gitlab-token", "glft-", .dotted, 20),
        TokenForm("gitlab-token", "glffct-", .dotted, 20), TokenForm("gitlab-token", "glagent-", .dotted, 20),
        TokenForm("gitlab-token", "gloas-", .dotted, 20), TokenForm("gitlab-token", "glsoat-", .dotted, 20),
        TokenForm("gitlab-token", "GR1348941", .url, 20),
        TokenForm("bitbucket-token", "ATBB", .alnum, 28), TokenForm("atlassian-token", "ATATT3x", .bearer, 60),
        TokenForm("atlassian-token", "ATCTT3x", .bearer, 60), TokenForm("gitea-token", "gta_", .hex, 40),
    ]

    private static let clouds: [TokenForm] = [
        TokenForm("aws-key", "AKIA", .upper, 16, exact: true), TokenForm("aws-key", "ASIA", .upper, 16, exact: true),
        TokenForm("aws-key", "ABIA", .upper, 16, exact: true), TokenForm("aws-key", "ACCA", .upper, 16, exact: true),
        TokenForm("aws-key", "A3T", .upper, 17, exact: true), TokenForm("aws-bedrock-key", "ABSK", .base64, 100),
        TokenForm("google-key", "AIza", .url, 35), TokenForm("google-token", "ya29.", .url, 20),
        TokenForm("google-secret", "GOCSPX-", .url, 24), TokenForm("google-token", "1//0", .url, 30),
        TokenForm("alibaba-key", "LTAI", .alnum, 16), TokenForm("tencent-key", "AKID", .alnum, 32, exact: true),
        TokenForm("digitalocean-token", "dop_v1_", .hex, 64), TokenForm("digitalocean-token", "doo_v1_", .hex, 64),
        TokenForm("digitalocean-token", "dor_v1_", .hex, 64), TokenForm("heroku-key", "HRKU-", .url, 36),
        TokenForm("fly-token", "fm1r_", .base64, 40), TokenForm("fly-token", "fm1a_", .base64, 40),
        TokenForm("fly-token", "fm2_", .base64, 40), TokenForm("fly-token", "fo1_", .url, 40),
        TokenForm("cloudflare-key", "v1.0-", [Part(.hex, 24...24), .dash, Part(.hex, 100...Int.max)]),
        TokenForm("netlify-token", "nfp_", .alnum, 36), TokenForm("render-key", "rnd_", .alnum, 28),
        TokenForm("supabase-token", "sbp_", .hex, 40), TokenForm("supabase-key", "sb_secret_", .url, 20),
        TokenForm("planetscale-token", "pscale_tkn_", .dotted, 32),
        TokenForm("planetscale-token", "pscale_oauth_", .dotted, 32),
        TokenForm("planetscale-password", "pscale_pw_", .dotted, 32), TokenForm("neon-key", "napi_", .alnum, 40),
        TokenForm("yandex-key", "AQVN", .url, 35), TokenForm("yandex-token", "t1.9eu", .dotted, 60),
        TokenForm("databricks-token", "dapi", .hex, 32), TokenForm("scaleway-key", "SCW", .upper, 17, exact: true),
        TokenForm("tailscale-key", "tskey-", .url, 20), TokenForm("pulumi-token", "pul-", .hex, 40),
        TokenForm("vercel-token", "vcp_", .alnum, 24), TokenForm("ibm-key", "ApiKey-", .url, 36),
        TokenForm("terraform-token", ".atlasv1.", .url, 60, check: .none, boundary: false),
        TokenForm("vault-token", "hvs.", .url, 24), TokenForm("vault-token", "hvb.", .url, 24),
        TokenForm("vault-token", "hvr.", .url, 24), TokenForm("openstack-token", "gAAAAA", .url, 80),
        TokenForm(
            "kubernetes-bootstrap", "K10", [Part(.hex, 64...64), Part(ByteSet(":"), 2...2), Part(.word, 4...Int.max)]),
    ]

    private static let models: [TokenForm] = [
        TokenForm("anthropic-key", "sk-ant-", .url, 20), TokenForm("openai-key", "sk-proj-", .url, 20),
        TokenForm("openai-key", "sk-svcacct-", .url, 20), TokenForm("openai-key", "sk-admin-", .url, 20),
        TokenForm("openrouter-key", "sk-or-v1-", .hex, 40), TokenForm("langfuse-key", "sk-lf-", .url, 32),
        TokenForm("openai-key", "sk-None-", .url, 20), TokenForm("openai-key", "sk-", .alnum, 20, boundary: true),
        TokenForm("huggingface-token", "hf_", .alnum, 30), TokenForm("huggingface-token", "api_org_", .alnum, 30),
        TokenForm("groq-key", "gsk_", .alnum, 40), TokenForm("xai-key", "xai-", .alnum, 40),
        TokenForm("perplexity-key", "pplx-", .alnum, 40), TokenForm("replicate-token", "r8_", .alnum, 36),
        TokenForm("langsmith-key", "lsv2_pt_", .word, 32), TokenForm("langsmith-key", "lsv2_sk_", .word, 32),
        TokenForm("pinecone-key", "pcsk_", .word, 40), TokenForm("tavily-key", "tvly-", .url, 20),
        TokenForm("firecrawl-key", "fc-", .hex, 32, boundary: true), TokenForm("nvidia-key", "nvapi-", .url, 40),
        TokenForm("elevenlabs-key", "sk_", .hex, 48, boundary: true),
        TokenForm("cerebras-key", "csk-", .lower, 40),
    ]

    private static let payments: [TokenForm] = [
        TokenForm("stripe-key", "sk_live_", .alnum, 10, check: .none),
        TokenForm("stripe-key", "sk_test_", .alnum, 10, check: .none),
        TokenForm("stripe-key", "rk_live_", .alnum, 10, check: .none),
        TokenForm("stripe-key", "rk_test_", .alnum, 10, check: .none),
        TokenForm("stripe-key", "sk_prod_", .alnum, 10, check: .none),
        TokenForm("stripe-secret", "whsec_", .base64, 24),
        TokenForm("square-token", "sq0atp-", .url, 22), TokenForm("square-secret", "sq0csp-", .url, 22),
        TokenForm("square-token", "EAAA", .url, 60), TokenForm("facebook-token", "EAA", .alnum, 60),
        TokenForm("shopify-token", "shpat_", .hex, 32), TokenForm("shopify-token", "shpca_", .hex, 32),
        TokenForm("shopify-token", "shppa_", .hex, 32), TokenForm("shopify-secret", "shpss_", .hex, 32),
        TokenForm("flutterwave-key", "FLWSECK_TEST-", .alnum, 12), TokenForm("flutterwave-key", "FLWSECK-", .alnum, 12),
        TokenForm("plaid-token", "access-sandbox-", .url, 36), TokenForm("plaid-token", "access-production-", .url, 36),
        TokenForm("plaid-token", "access-development-", .url, 36),
        TokenForm("easypost-key", "EZAK", .alnum, 54), TokenForm("easypost-key", "EZTK", .alnum, 54),
        TokenForm("duffel-token", "duffel_live_", .url, 40), TokenForm("duffel-token", "duffel_test_", .url, 40),
        TokenForm("shippo-token", "shippo_live_", .hex, 40), TokenForm("shippo-token", "shippo_test_", .hex, 40),
        TokenForm(
            "paypal-token", "access_token$",
            [
                Part(.lower, 2...12), Part(ByteSet("$"), 1...1), Part(.lower, 8...16), Part(ByteSet("$"), 1...1),
                Part(.hex, 32...Int.max),
            ], check: .none),
        TokenForm("razorpay-key", "rzp_live_", .alnum, 14), TokenForm("adyen-key", "AQE", .base64, 100),
    ]

    private static let messages: [TokenForm] = [
        TokenForm("slack-token", "xoxb-", .url, 10, check: .none),
        TokenForm("slack-token", "xoxp-", .url, 10, check: .none),
        TokenForm("slack-token", "xoxa-", .url, 10, check: .none),
        TokenForm("slack-token", "xoxr-", .url, 10, check: .none),
        TokenForm("slack-token", "xoxs-", .url, 10, check: .none),
        TokenForm("slack-token", "xoxo-", .url, 10, check: .none),
        TokenForm("slack-token", "xoxc-", .url, 10, check: .none),
        TokenForm("slack-token", "xoxd-", .bearer, 10, check: .none),
        TokenForm("slack-token", "xoxe.", .dotted, 20), TokenForm("slack-token", "xoxe-", .url, 20),
        TokenForm("slack-token", "xapp-", .url, 10, check: .none),
        TokenForm("slack-token", "xwfp-", .url, 10, check: .none),
        TokenForm("slack-webhook", "hooks.slack.com/services/", ByteSet("A-Za-z0-9/_"), 30),
        TokenForm("slack-webhook", "hooks.slack.com/workflows/", ByteSet("A-Za-z0-9/_"), 30),
        TokenForm("slack-webhook", "hooks.slack.com/triggers/", ByteSet("A-Za-z0-9/_"), 30),
        TokenForm("discord-webhook", "discord.com/api/webhooks/", ByteSet("A-Za-z0-9/_-"), 60),
        TokenForm("discord-webhook", "discordapp.com/api/webhooks/", ByteSet("A-Za-z0-9/_-"), 60),
        TokenForm("teams-webhook", ".webhook.office.com/", ByteSet("A-Za-z0-9/@_-"), 60, check: .none, boundary: false),
        TokenForm("sendgrid-key", "SG.", [Part(.url, 16...32), .dot, Part(.url, 16...Int.max)]),
        TokenForm("mailgun-key", "pubkey-", .hex, 32, exact: true),
        TokenForm("sendinblue-key", "xkeysib-", .url, 64), TokenForm("sendinblue-key", "xsmtpsib-", .url, 64),
        TokenForm("telegram-token", ":AA", .url, 33, boundary: false, exact: true),
        TokenForm("postmark-token", "POSTMARK-", .url, 20),
        TokenForm("mapbox-token", "sk.eyJ", .dotted, 40), TokenForm("mapbox-token", "pk.eyJ", .dotted, 40),
        TokenForm("frameio-token", "fio-u-", .url, 60), TokenForm("typeform-token", "tfp_", .dotted, 40),
        TokenForm("discord-token", "mfa.", .url, 60),
    ]

    private static let registries: [TokenForm] = [
        TokenForm("npm-token", "npm_", .alnum, 36), TokenForm("pypi-token", "pypi-", .url, 40),
        TokenForm("rubygems-key", "rubygems_", .hex, 48), TokenForm("crates-token", "cio", .alnum, 32, exact: true),
        TokenForm("docker-token", "dckr_pat_", .url, 24), TokenForm("docker-token", "dckr_oat_", .url, 24),
        TokenForm("nuget-key", "oy2", .lower, 43, exact: true), TokenForm("clojars-token", "CLOJARS_", .alnum, 60),
        TokenForm("artifactory-key", "AKCp", .alnum, 60), TokenForm("artifactory-token", "cmVmdGtuO", .alnum, 40),
        TokenForm("jsr-token", "jsrp_", .alnum, 30), TokenForm("packagist-token", "packagist_", .url, 32),
    ]

    private static let monitoring: [TokenForm] = [
        TokenForm("newrelic-key", "NRAK-", .alnum, 27), TokenForm("newrelic-key", "NRII-", .url, 32),
        TokenForm("newrelic-key", "NRJS-", .hex, 19), TokenForm("newrelic-key", "NRRA-", .hex, 40),
        TokenForm("grafana-token", "glc_", .base64, 32), TokenForm("grafana-token", "glsa_", .word, 32),
        TokenForm("grafana-key", "eyJrIjoi", .base64, 40), TokenForm("sentry-token", "sntrys_", .bearer, 40),
        TokenForm("sentry-token", "sntryu_", .hex, 60), TokenForm("dynatrace-token", "dt0c01.", .dotted, 80),
        TokenForm("dynatrace-token", "dt0s16.", .dotted, 60), TokenForm("posthog-key", "phx_", .alnum, 40),
        TokenForm("sourcegraph-token", "sgp_", .word, 40), TokenForm("circleci-token", "CCIPAT_", .word, 40),
        TokenForm("buildkite-token", "bkua_", .alnum, 40),
        TokenForm("octopus-key", "API-", .upper, 26, boundary: true, exact: true),
        TokenForm("sumologic-key", "sumo_", .alnum, 40), TokenForm("honeycomb-key", "hcaik_", .alnum, 58),
    ]

    private static let tools: [TokenForm] = [
        TokenForm("age-key", "AGE-SECRET-KEY-1", .upper, 50), TokenForm("age-key", "AGE-PLUGIN-", .url, 50),
        TokenForm("linear-key", "lin_api_", .alnum, 40), TokenForm("linear-key", "lin_oauth_", .alnum, 40),
        TokenForm("notion-token", "ntn_", .alnum, 40), TokenForm("notion-token", "secret_", .alnum, 43, exact: true),
        TokenForm("postman-key", "PMAK-", .url, 50), TokenForm("prefect-key", "pnu_", .alnum, 36),
        TokenForm("readme-key", "rdme_", .alnum, 60), TokenForm("doppler-token", "dp.pt.", .alnum, 40),
        TokenForm("doppler-token", "dp.st.", .dotted, 40), TokenForm("doppler-token", "dp.ct.", .alnum, 40),
        TokenForm("doppler-token", "dp.sa.", .alnum, 40), TokenForm("doppler-token", "dp.scim.", .alnum, 40),
        TokenForm("doppler-token", "dp.audit.", .alnum, 40), TokenForm("figma-token", "figd_", .url, 36),
        TokenForm("figma-token", "figdr_", .url, 36), TokenForm("infracost-key", "ico-", .alnum, 32, boundary: true),
        TokenForm("intra42-secret", "s-s4t2ud-", .hex, 60), TokenForm("intra42-secret", "s-s4t2af-", .hex, 60),
        TokenForm("adafruit-key", "aio_", .alnum, 28), TokenForm("adobe-secret", "p8e-", .alnum, 32),
        TokenForm("airtable-token", "pat", [Part(.alnum, 14...14), .dot, Part(.hex, 60...Int.max)]),
        TokenForm("contentful-token", "CFPAT-", .url, 43), TokenForm("dropbox-token", "sl.", .url, 100),
        TokenForm("1password-token", "ops_eyJ", .base64, 100), TokenForm("scalingo-token", "tk-us-", .url, 48),
        TokenForm(
            "asana-token", "1/1", [Part(.digits, 10...20), Part(ByteSet("/:"), 1...1), Part(.alnum, 20...Int.max)]),
        TokenForm(
            "harness-key", "pat.", [Part(.url, 22...22), .dot, Part(.hex, 24...24), .dot, Part(.alnum, 20...20)],
            boundary: true),
        TokenForm("infisical-token", "st.", [Part(.alnum, 20...40), .dot, Part(.alnum, 20...Int.max)]),
        TokenForm("private-key", "MIIEvQIBADANBg", .base64, 20, check: .none),
        TokenForm("private-key", "MIIEvgIBADANBg", .base64, 20, check: .none),
        TokenForm("private-key", "MIIEvwIBADANBg", .base64, 20, check: .none),
        TokenForm("private-key", "MIIEpAIBAAKCAQEA", .base64, 20, check: .none),
        TokenForm("private-key", "MIIEowIBAAKCAQEA", .base64, 20, check: .none),
        TokenForm("private-key", "MIIEogIBAAKCAQEA", .base64, 20, check: .none),
        TokenForm("private-key", "MIIJQgIBADANBg", .base64, 20, check: .none),
        TokenForm("private-key", "MIIJQwIBADANBg", .base64, 20, check: .none),
        TokenForm("private-key", "MIIJKQIBAAKCAgEA", .base64, 20, check: .none),
        TokenForm("private-key", "MIIJKAIBAAKCAgEA", .base64, 20, check: .none),
        TokenForm("private-key", "MIICXAIBAAKBgQ", .base64, 20, check: .none),
        TokenForm("private-key", "MIICXQIBAAKBgQ", .base64, 20, check: .none),
        TokenForm("private-key", "MHcCAQEEI", .base64, 20, check: .none),
        TokenForm("private-key", "MIGHAgEAMBMGByqGSM49", .base64, 20, check: .none),
        TokenForm("private-key", "MC4CAQAwBQYDK2VwBCIEI", .base64, 20, check: .none),
        TokenForm("private-key", "b3BlbnNzaC1rZXktdjE", .base64, 20, check: .none),
    ]

    /// A bot's token begins with its id, decimal digits in base64: so do few other words.
    private static let discord: [TokenForm] = ["M", "N", "O"].flatMap { first in
        ["D", "T", "j", "z"].flatMap { second in
            "AEIMQUYcgk".map { third in
                TokenForm(
                    "discord-token", "\(first)\(second)\(third)",
                    [Part(.url, 20...27), .dot, Part(.url, 6...6), .dot, Part(.url, 27...Int.max)])
            }
        }
    }

    /// A client secret of Microsoft Entra has a digit and `Q~` after its first three characters, which stay readable.
    private static let azure: [TokenForm] = (0...9).map {
        TokenForm("azure-secret", "\($0)Q~", ByteSet("A-Za-z0-9_.~-"), 31, check: .none, boundary: false)
    }

    /// Beginnings have at least three bytes, so the first digit is part of them.
    private static let twilio: [TokenForm] = "0123456789abcdef".map {
        TokenForm("twilio-key", "SK\($0)", .hex, 31, exact: true)
    }
}
