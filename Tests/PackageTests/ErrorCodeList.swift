/// The codes of one error, read from the enum that lists them.
struct ErrorCodeList {
    /// The enum's name.
    let name: String
    /// What the heading of its section in `ErrorCodes.md` ends with.
    let heading: String
    /// As people see them: the raw value where the case has one, else the name of the case.
    let codes: [String]

    /// The enums `…ErrorCode` of a source. The problems of the API name theirs `Code`, as others do that are no errors.
    static func all(in text: String, isProblem: Bool) -> [ErrorCodeList] {
        let opening = #/ *(?:package |public )?enum (\w*Code)\b.*\{/#
        let lines = text.split(separator: "\n")
        return lines.indices.compactMap { index in
            guard let name = lines[index].wholeMatch(of: opening).map({ String($0.output.1) }),
                isProblem ? name == "Code" : name.hasSuffix("ErrorCode")
            else { return nil }
            let indentation = String(lines[index].prefix { $0 == " " })
            // What is further in, such as the cases of a switch, does not begin a case of the enum.
            let (begin, end) = (indentation + "    case ", indentation + "}")
            let cases = lines[(index + 1)...].prefix { $0 != end }.filter { $0.hasPrefix(begin) }
            return ErrorCodeList(
                name: name, heading: isProblem ? "problem codes" : "`\(name.dropLast(4))`",
                codes: cases.flatMap { self.codes(in: $0.dropFirst(begin.count)) })
        }
    }

    private static func codes(in cases: Substring) -> [String] {
        cases.matches(of: #/(\w+)(?:\([^)]*\))?(?: = "([^"]+)")?/#).map { match in
            String(match.output.2 ?? match.output.1)
        }
    }
}
