/// The reason why the API cannot be served.
package struct APIError: Error, CustomStringConvertible {
    package let message: String

    package var description: String { self.message }
}
