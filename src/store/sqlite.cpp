// The only file that includes sqlite3.h.

#include "sqlite.hpp"

#include <sqlite3.h>

namespace poster {

namespace {

constexpr int kBusyMs = 5000;

} // namespace

SqliteError::SqliteError(int code, const std::string& what) : std::runtime_error(what), code_(code & 0xFF) {}

SqliteError SqliteError::foreign(const std::string& what) {
    return {SQLITE_CORRUPT, what};
}

bool SqliteError::damaged() const {
    return code_ == SQLITE_CORRUPT || code_ == SQLITE_NOTADB || code_ == SQLITE_ERROR;
}

bool SqliteError::busy() const {
    return code_ == SQLITE_BUSY || code_ == SQLITE_LOCKED;
}

Database::Database(const fs::path& path) {
    constexpr int kFlags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX;
    const char* name = path.empty() ? ":memory:" : path.c_str();
    const int code = ::sqlite3_open_v2(name, &handle_, kFlags, nullptr);
    if (code != SQLITE_OK) {
        const SqliteError error{code, ::sqlite3_errstr(code)};
        ::sqlite3_close_v2(handle_);
        throw error;
    }
    ::sqlite3_busy_timeout(handle_, kBusyMs);
}

Database::~Database() {
    ::sqlite3_close_v2(handle_);
}

void Database::wait_for_locks(int milliseconds) const {
    ::sqlite3_busy_timeout(handle_, milliseconds);
}

void Database::run(const char* sql) const {
    if (const int code = ::sqlite3_exec(handle_, sql, nullptr, nullptr, nullptr); code != SQLITE_OK) fail(code);
}

void Database::fail(int code) const {
    throw SqliteError(code, ::sqlite3_errmsg(handle_));
}

Statement::Statement(const Database& database, const std::string& sql) : database_(database) {
    const int code = ::sqlite3_prepare_v2(database.get(), sql.c_str(), -1, &handle_, nullptr);
    if (code != SQLITE_OK) database.fail(code);
}

Statement::~Statement() {
    ::sqlite3_finalize(handle_);
}

Statement& Statement::bind(int place, std::string_view text) {
    ::sqlite3_bind_text(handle_, place, text.data() ? text.data() : "", int(text.size()), SQLITE_STATIC);
    return *this;
}

Statement& Statement::bind(int place, std::int64_t number) {
    ::sqlite3_bind_int64(handle_, place, number);
    return *this;
}

Statement& Statement::bind(int place, std::optional<std::int64_t> number) {
    if (number) return bind(place, *number);
    ::sqlite3_bind_null(handle_, place);
    return *this;
}

Statement& Statement::bind(int place, std::optional<double> number) {
    if (number)
        ::sqlite3_bind_double(handle_, place, *number);
    else
        ::sqlite3_bind_null(handle_, place);
    return *this;
}

bool Statement::step() {
    const int code = ::sqlite3_step(handle_);
    if (code != SQLITE_ROW && code != SQLITE_DONE) database_.fail(code);
    return code == SQLITE_ROW;
}

Statement& Statement::bind_blob(int place, std::string_view bytes) {
    ::sqlite3_bind_blob(handle_, place, bytes.data(), int(bytes.size()), SQLITE_STATIC);
    return *this;
}

void Statement::reset() {
    ::sqlite3_reset(handle_);
}

void Statement::execute() {
    step();
    reset();
}

std::string Statement::text(int column) const {
    const auto* bytes = reinterpret_cast<const char*>(::sqlite3_column_text(handle_, column));
    return bytes ? std::string(bytes, std::size_t(::sqlite3_column_bytes(handle_, column))) : std::string{};
}

std::int64_t Statement::number(int column) const {
    return ::sqlite3_column_int64(handle_, column);
}

double Statement::real(int column) const {
    return ::sqlite3_column_double(handle_, column);
}

bool Statement::is_null(int column) const {
    return ::sqlite3_column_type(handle_, column) == SQLITE_NULL;
}

bool Statement::is_text(int column) const {
    return ::sqlite3_column_type(handle_, column) == SQLITE_TEXT;
}

bool Statement::is_blob(int column) const {
    return ::sqlite3_column_type(handle_, column) == SQLITE_BLOB;
}

Transaction::Transaction(const Database& database) : database_(database) {
    database.run("BEGIN IMMEDIATE");
}

Transaction::~Transaction() {
    if (open_) ::sqlite3_exec(database_.get(), "ROLLBACK", nullptr, nullptr, nullptr);
}

void Transaction::commit() {
    database_.run("COMMIT");
    open_ = false;
}

} // namespace poster
