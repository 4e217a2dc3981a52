import API
import Credentials
import Cryptography
import Domain
import Foundation
import TransportSecurity

extension Context {
    /// How the API is served; nil when it is off. Throws status 78.
    func api() throws -> APIConfiguration? {
        let text = try self.settings.required("api.listen")
        guard text != "off" else { return nil }
        let address = try Self.address(text)
        var configuration = APIConfiguration(address: address, tls: try self.apiTLS())
        let isLocal = Self.isLocal(address)
        guard isLocal || configuration.tls != nil else {
            throw CommandError.configuration(
                "api.listen is '\(Printable.text(text))', which other machines can reach: expected a loopback address or unix:/path, or a certificate in ORCHESTRA_API_TLS_CERTIFICATE_FILE"
            )
        }
        let hosts = self.list("api.hosts").map { $0.lowercased() }
        if !hosts.isEmpty {
            configuration.hosts = Set(hosts)
        } else if !isLocal {
            configuration.hosts = []
        }
        if case .unix = address, hosts.isEmpty { configuration.hosts = [] }
        configuration.origins = Set(try self.list("api.origins").map { Array(try Self.origin($0).utf8) })
        configuration.clients = try self.ranges("api.clients")
        configuration.proxies = try self.ranges("api.proxies")
        configuration.publicURL = self.settings.text("api.public-url").map {
            $0.hasSuffix("/") ? String($0.dropLast()) : $0
        }
        configuration.advertisedURL = try self.advertisedURL()
        configuration.peerAuthorityFile = try self.peerAuthorityFile()
        // Other nodes send the name of that URL.
        if let name = configuration.advertisedURL.flatMap({ URLComponents(string: $0)?.host }),
            configuration.hosts != []
        {
            configuration.hosts.insert(name.lowercased())
        }
        configuration.issuers = self.settings.text("auth.issuer").map { [$0] } ?? []
        configuration.securityContact = try self.securityContact()
        configuration.workspaceRate = .init(count: try self.settings.integer("api.workspace-rate"), period: 60)
        configuration.archiveLimit = try self.settings.integer("api.archive-limit")
        configuration.addressRate = .init(count: try self.settings.integer("api.address-rate"), period: 60)
        return configuration
    }

    /// How a client on this machine reaches the API on the port that is bound; nil when it is off. Throws as `api`.
    func localAPI(port: Int) throws -> LocalAPIAddress? {
        try self.api().map {
            LocalAPIAddress($0.address, certificateFile: $0.tls?.certificateFile, port: port)
        }
    }

    /// What tokens must contain; nil when none are accepted. Throws status 78.
    func tokenRules() throws -> TokenRules? {
        guard let issuer = self.settings.text("auth.issuer") else { return nil }
        guard let audience = self.settings.text("auth.audience") else {
            throw CommandError.configuration(
                "auth.issuer is set and auth.audience is not: expected the audience that tokens must name")
        }
        let algorithms = try self.list("auth.algorithms").map { name in
            guard let algorithm = SignatureKey.Algorithm(rawValue: name) else {
                throw CommandError.configuration(
                    "auth.algorithms: '\(Printable.text(name))' is not one of RS256, ES256, EdDSA")
            }
            return algorithm
        }
        guard !algorithms.isEmpty else {
            throw CommandError.configuration("auth.algorithms is empty: expected some of RS256, ES256, EdDSA")
        }
        return TokenRules(
            issuer: issuer, audience: audience, algorithms: Set(algorithms),
            workspaceClaim: try self.settings.required("auth.workspace-claim"),
            rolesClaim: self.settings.text("auth.roles-claim"), authorizedParties: Set(self.list("auth.clients")),
            longestLifetime: UInt64(clamping: try self.settings.integer("auth.longest-lifetime")))
    }

    private func apiTLS() throws -> TLSServerConfiguration? {
        let certificate = self.settings.text("api.tls.certificate-file")
        let key = self.settings.text("api.tls.key-file")
        let authority = self.settings.text("api.tls.client-ca-file")
        switch (certificate, key) {
        case (let certificate?, let key?):
            return TLSServerConfiguration(
                certificateFile: certificate, privateKeyFile: key, clientAuthorityFile: authority)
        case (nil, nil):
            guard authority == nil else {
                throw CommandError.configuration(
                    "api.tls.client-ca-file needs api.tls.certificate-file and api.tls.key-file")
            }
            return nil
        default:
            throw CommandError.configuration(
                "api.tls.certificate-file and api.tls.key-file must be given together")
        }
    }

    /// Throws status 78 for what is not a URL of a server alone, and for plain HTTP that would leave this machine or is
    /// advertised in production, where nodes are on several machines.
    private func advertisedURL() throws -> String? {
        guard let text = self.settings.text("api.advertise") else { return nil }
        let url = text.hasSuffix("/") ? String(text.dropLast()) : text
        guard let parts = URLComponents(string: url), let host = parts.host, !host.isEmpty, parts.user == nil,
            parts.path.isEmpty, parts.query == nil, parts.fragment == nil, url.utf8.count <= 300,
            url.utf8.allSatisfy({ (0x21...0x7e).contains($0) }),
            parts.scheme == "https"
                || (parts.scheme == "http" && Loopback.contains(host) && !self.settings.isProduction)
        else {
            throw CommandError.configuration(
                "api.advertise is '\(Printable.text(text))': expected https://host or https://host:port, without a path; http only on this machine, and not with ENV=production"
            )
        }
        return url
    }

    private func peerAuthorityFile() throws -> String? {
        guard let file = self.settings.text("api.forward.ca-file") else { return nil }
        do throws(TLSError) {
            try TLSClientHandler.validate(TLSConfiguration(serverName: "any", authorityFile: file))
        } catch {
            throw CommandError.configuration("api.forward.ca-file: \(error.message)")
        }
        return file
    }

    private func securityContact() throws -> String? {
        guard let contact = self.settings.text("api.security-contact") else { return nil }
        guard contact.hasPrefix("mailto:") || contact.hasPrefix("https://"), !contact.contains(where: \.isNewline)
        else {
            throw CommandError.configuration("api.security-contact: expected a mailto: or https: URL")
        }
        return contact
    }

    private func list(_ name: String) -> [String] {
        (self.settings.text(name) ?? "").split(separator: ",").map { $0.trimmingCharacters(in: .whitespaces) }
            .filter { !$0.isEmpty }
    }

    private func ranges(_ name: String) throws -> [AddressRange] {
        try self.list(name).map { text in
            guard let range = AddressRange(text) else {
                throw CommandError.configuration(
                    "\(name): '\(Printable.text(text))' is not an address or network, such as 10.0.0.0/8 or ::1")
            }
            return range
        }
    }

    private static func origin(_ text: String) throws -> String {
        let parts = text.split(separator: "://", maxSplits: 1, omittingEmptySubsequences: false)
        let isPlain = text.utf8.allSatisfy { (0x21...0x7e).contains($0) } && !text.contains("*")
        guard parts.count == 2, ["http", "https"].contains(parts[0]), !parts[1].isEmpty, !parts[1].contains("/"),
            isPlain
        else {
            throw CommandError.configuration(
                "api.origins: '\(Printable.text(text))' is not an origin, such as https://console.example; patterns are not supported"
            )
        }
        return text
    }

    private static func address(_ text: String) throws -> APIConfiguration.Address {
        if text.hasPrefix("unix:/") { return .unix(path: String(text.dropFirst(5))) }
        if let colon = text.lastIndex(of: ":"), let port = UInt16(text[text.index(after: colon)...]) {
            var host = String(text[..<colon])
            if host.hasPrefix("["), host.hasSuffix("]") { host = String(host.dropFirst().dropLast()) }
            if host == "localhost" { host = "127.0.0.1" }
            if IPAddress(host) != nil { return .tcp(host: host, port: Int(port)) }
        }
        throw CommandError.configuration(
            "api.listen is '\(Printable.text(text))': expected off, address:port, [address]:port or unix:/path")
    }

    private static func isLocal(_ address: APIConfiguration.Address) -> Bool {
        switch address {
        case .unix: true
        case .tcp(let host, _): Loopback.contains(host)
        }
    }
}
