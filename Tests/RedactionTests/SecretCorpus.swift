import TestSupport

/// Made-up secrets by the forms that their issuers document, in the notations in which they are met. It does not read the
/// redactor's own tables.
struct SecretCorpus {
    /// A line with a secret; `secret` must not be in what comes out.
    struct Case {
        let family: String
        let line: String
        let secret: String
    }

    private var random: SeededRandom

    init(seed: UInt64) { self.random = SeededRandom(seed: seed) }

    /// `{a:36}` is 36 letters and digits, `u` of base64url, `h` of hexadecimal digits, `U` of capitals and digits, `l` of
    /// small letters and digits, `d` of digits, `b` of base64, `w` of letters, digits and underscores.
    static let forms = [
        "ghp_{a:36}", "gho_{a:36}", "ghu_{a:36}", "ghs_{a:36}", "ghr_{a:36}", "github_pat_{a:22}_{a:59}",
        "glpat-{u:20}",
        "gldt-{u:20}", "glrt-{u:20}", "glptt-{h:40}", "AKIA{U:16}", "ASIA{U:16}", "AIza{u:35}", "ya29.{u:68}",
        "GOCSPX-{u:28}", "xoxb-{d:11}-{d:12}-{a:24}", "xoxp-{d:11}-{d:11}-{d:12}-{h:32}",
        "xapp-1-A{U:10}-{d:12}-{h:64}",
        "https://hooks.slack.com/services/T{U:8}/B{U:8}/{a:24}", "sk_live_{a:24}", "sk_test_{a:24}", "rk_live_{a:99}",
        "whsec_{a:32}", "sk-{a:48}", "sk-proj-{u:74}T3BlbkFJ{u:74}", "sk-svcacct-{u:60}", "sk-ant-api03-{u:93}AA",
        "sk-ant-admin01-{u:93}AA", "hf_{a:34}", "npm_{a:36}", "pypi-AgEIcHlwaS5vcmc{u:120}", "dckr_pat_{u:27}",
        "dop_v1_{h:64}", "doo_v1_{h:64}", "SG.{u:22}.{u:43}", "SK{h:32}", "{d:9}:AA{u:33}",
        "MTI{a:21}.{u:6}.{u:38}", "shpat_{h:32}", "shpss_{h:32}", "dapi{h:32}", "AGE-SECRET-KEY-1{U:58}",
        "{a:3}8Q~{u:34}", "hvs.{u:90}", "glsa_{a:32}_{h:8}", "glc_{a:40}", "lin_api_{a:40}", "ntn_{a:46}",
        "PMAK-{h:24}-{h:34}", "pul-{h:40}", "pscale_pw_{u:43}", "pscale_tkn_{u:43}", "rubygems_{h:48}", "sntrys_{a:80}",
        "dp.pt.{a:43}", "figd_{u:40}", "gsk_{a:52}", "xai-{a:80}", "pplx-{a:48}", "r8_{a:37}", "NRAK-{U:27}",
        "dt0c01.{U:24}.{U:64}", "sq0atp-{u:22}", "sq0csp-{u:43}", "tskey-auth-{a:17}-{a:32}", "sbp_{h:40}",
        "ATATT3xFfGF0{u:180}", "AKCp{a:69}", "EAACEdEose0cBA{a:100}", "nfp_{a:36}", "pcsk_{a:6}_{a:60}", "tvly-{a:32}",
        "sk-or-v1-{h:64}", "lsv2_pt_{h:32}_{h:10}", "discord.com/api/webhooks/{d:18}/{u:68}", "relay_sk_{l:16}_{l:52}",
        "eyJhbGciOiJIUzI1NiJ9.eyJ{u:40}.{u:43}", "eyJ0eXAiOiJKV1QiLCJhbGciOiJSUzI1NiJ9.eyJ{u:120}.{u:342}",
        "b3BlbnNzaC1rZXktdjEAAAAABG5vbmU{b:40}", "MIIEvQIBADANBgkqhkiG9w0BAQEFAASC{b:32}", "CCIPAT_{a:22}_{h:40}",
        "phx_{a:43}", "bkua_{h:40}", "clojars:CLOJARS_{h:60}", "oy2{l:43}", "cio{a:32}", "fm2_{b:100}", "napi_{l:64}",
        "secret_{a:43}", "patAbCdEfGhIjKlMn.{h:64}", "EZAK{a:54}", "API-{U:26}", "v1.0-{h:24}-{h:146}", "ATBB{a:32}",
    ]

    /// `§` is the secret.
    static let places = [
        "§", "see § here", "\"§\"", "'§'", "(§)", "`§`", "<§>", "{\"value\":\"§\"}", "[\"§\",\"x\"]", "value: §",
        "VALUE=§",
        "export VALUE=§", "export VALUE=\"§\"", "value = '§'", "x=§&y=1", "https://x-access-token:§@example.com/a.git",
        "https://example.com/?q=§&r=2", "https://example.com/?q=§#part", "Authorization: Bearer §",
        "authorization: token §",
        "X-Api-Key: §", "X-Thing: §", "git clone https://§@example.com/a.git", "*2\r\n$3\r\nSET\r\n$40\r\n§\r\n",
        "AUTH §", "--key=§", "--key §", "{\\\"value\\\":\\\"§\\\"}", "a\\n§\\nb", "a\\t§", "q%3D§%26r", "<v>§</v>",
        "v=\"§\"", "| § |", "- §", "# §", "// §", "§ ", "\t§", "2026-01-01T00:00:00Z INFO got § from x", "§,", "§;",
        "§)",
        "{value:§}", "é§é", "\u{1b}[31m§\u{1b}[0m", "\u{1b}[2;5H§", "\u{1b}]0;§\u{07}",
        "curl -H 'X-Thing: §' https://e.x/",
        "docker login -u me -p §", "echo § | login", "log.info(\"§\")", "key=§,next=1", "$ echo §",
    ]

    static let names = [
        "password", "PASSWORD", "db_password", "DB_PASSWORD", "dbPassword", "POSTGRES_PASSWORD", "passwd",
        "user.passwd",
        "passphrase", "SSH_PASSPHRASE", "secret", "client_secret", "CLIENT_SECRET", "clientSecret", "app.secret",
        "SECRET_KEY", "secret_key", "secretKey", "SECRET_KEY_BASE", "AWS_SECRET_ACCESS_KEY", "aws_secret_access_key",
        "api_key", "API_KEY", "apiKey", "api-key", "apikey", "x-api-key", "OPENAI_API_KEY", "access_token",
        "ACCESS_TOKEN",
        "accessToken", "refresh_token", "auth_token", "authToken", "AUTH_TOKEN", "token", "TOKEN", "GITHUB_TOKEN",
        "NPM_TOKEN", "bot_token", "private_key", "privateKey", "encryption_key", "ENCRYPTION_KEY", "signing_key",
        "access_key", "accessKey", "AccountKey", "SharedAccessKey", "master_key", "redis.password",
        "spring.datasource.password",
        "MYSQL_PWD", "id_token", "session_token", "webhook_secret", "jwt_secret", "PGPASSWORD", "REDIS_PASSWORD",
    ]

    /// `@` is the name, `%` the value.
    static let notations = [
        "@=%", "export @=%", "export @=\"%\"", "@='%'", "@=\"%\"", "@ = \"%\"", "@ = '%'", "@: %", "  @: %", "@: \"%\"",
        "  @: '%'", "{\"@\":\"%\"}", "{\"@\": \"%\", \"x\": 1}", "{\"a\":1,\"@\":\"%\"}", "{\\\"@\\\":\\\"%\\\"}",
        "'@': '%'", "'@' => '%'", "\"@\" => \"%\"", "@ := \"%\"", "--@ %", "--@=%", "--@ '%'", "run --@ % --verbose",
        "https://e.x/a?@=%", "https://e.x/a?x=1&@=%&y=2", "@=%&x=1", "-H '@: %'", "@: %\r", "<@>%</@>", "<a @=\"%\"/>",
        "Server=x;@=%;Database=y", "level=info @=%", "level=info @=\"%\" x=1", "set @=%", "ENV @=%", "ENV @ \"%\"",
        "const @ = \"%\";", "let @ = \"%\"", "var @ string = \"%\"", "@ = %", "@:%", "f(@=\"%\")", "f(@: \"%\")",
        "\"@=%\"",
        "- @=%", "docker run -e @=% image", "2026-01-01 INFO x @=% y", "{@: \"%\"}", "@=%;", "@=\"%\", x=1",
    ]

    /// Every form at every place.
    mutating func tokens() -> [Case] {
        var cases: [Case] = []
        for form in Self.forms {
            for place in Self.places {
                let token = self.token(form)
                cases.append(
                    Case(
                        family: "\(form) at \(place)", line: place.replacing("§", with: token),
                        secret: String(token.suffix(12))))
            }
        }
        return cases
    }

    /// Every name in every notation, with values of several kinds.
    mutating func named() -> [Case] {
        var cases: [Case] = []
        for name in Self.names {
            for notation in Self.notations {
                let form =
                    ["{a:12}", "{a:24}", "{h:32}", "{u:40}", "{l:16}", "{a:5}-{a:5}-{a:5}", "{a:8}!{d:3}", "{b:40}"]
                    .randomElement(using: &self.random) ?? ""
                var value = self.token(form)
                if !value.contains(where: \.isNumber) { value += "7x" }
                let line = notation.replacing("@", with: name).replacing("%", with: value)
                cases.append(Case(family: "\(name) in \(notation)", line: line, secret: value))
            }
        }
        return cases
    }

    /// A text of the form.
    mutating func token(_ form: String) -> String {
        var result = ""
        var rest = form[...]
        while let start = rest.firstIndex(of: "{"), let end = rest[start...].firstIndex(of: "}") {
            result += rest[..<start]
            let parts = rest[rest.index(after: start)..<end].split(separator: ":")
            let alphabet = Self.alphabets[String(parts[0])] ?? []
            for _ in 0..<(Int(parts[1]) ?? 0) { result.append(alphabet.randomElement(using: &self.random) ?? "x") }
            rest = rest[rest.index(after: end)...]
        }
        return result + rest
    }

    private static let alphabets: [String: [Character]] = {
        let digits = "0123456789"
        let small = "abcdefghijklmnopqrstuvwxyz"
        let capitals = small.uppercased()
        return [
            "d": Array(digits), "h": Array(digits + "abcdef"), "l": Array(digits + small),
            "U": Array(digits + capitals),
            "a": Array(digits + small + capitals), "u": Array(digits + small + capitals + "_-"),
            "w": Array(digits + small + capitals + "_"), "b": Array(digits + small + capitals + "+/"),
        ]
    }()
}
