internal import CLinux
internal import Domain
internal import Glibc
internal import ShimProtocol

/// The descriptors that a launch hands on, each at the number of its place.
struct HandedDescriptors {
    private(set) var descriptors: [Int32]
    private let kept: Int
    private let statusNumber: Int
    private let mappingNumber: Int
    private let reportNumber: Int
    private let secrets: [LaunchSpec.Secret]

    init(keeping stdio: [Int32], status: Int32, mapping: Int32, report: Int32, secrets: [LaunchSpec.Secret]) {
        self.secrets = secrets
        self.descriptors = stdio + [status, mapping, report]
        self.kept = stdio.count
        self.statusNumber = stdio.count
        self.mappingNumber = stdio.count + 1
        self.reportNumber = stdio.count + 2
    }

    /// Adds a file in memory; its number.
    mutating func add(_ bytes: [UInt8]) throws(DomainError) -> Int {
        let file = unsafe orc_memfd_with(bytes, bytes.count)
        guard file >= 0 else { throw DomainError.invalidValue("no memory file: errno \(-file)") }
        self.descriptors.append(file)
        return self.descriptors.count - 1
    }

    mutating func texts(of arguments: [LaunchSpec.Argument]) throws(DomainError) -> [String] {
        var texts: [String] = []
        for argument in arguments {
            switch argument {
            case .text(let text): texts.append(text)
            case .data(let bytes): texts.append(String(try self.add(bytes)))
            case .secret(let name):
                guard let secret = self.secrets.first(where: { $0.name == name }) else {
                    throw DomainError.invalidValue("the secret '\(name)' was not handed over")
                }
                texts.append(String(try self.add(secret.bytes)))
            case .statusDescriptor: texts.append(String(self.statusNumber))
            case .mappingDescriptor: texts.append(String(self.mappingNumber))
            case .reportDescriptor: texts.append(String(self.reportNumber))
            }
        }
        return texts
    }

    /// Closes what is the child's alone.
    func closeOwn() { for descriptor in self.descriptors[self.kept...] { close(descriptor) } }
}
