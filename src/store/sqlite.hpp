#pragma once
// SQLite with C++'s lifetimes: what the index needs of it. Everything throws SqliteError.

#include <cstdint>
#include <filesystem>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>

struct sqlite3;
struct sqlite3_stmt;

namespace poster {

namespace fs = std::filesystem;

class SqliteError : public std::runtime_error {
public:
    SqliteError(int code, const std::string& what);
    static SqliteError foreign(const std::string& what); // not made by this poster: counts as damaged
    // Also what a foreign database under our name leads to: missing tables and columns.
    bool damaged() const;
    bool busy() const;

private:
    int code_;
};

class Database {
public:
    explicit Database(const fs::path& path); // empty: in memory
    Database(const Database&) = delete;
    Database& operator=(const Database&) = delete;
    ~Database();

    sqlite3* get() const { return handle_; }
    void wait_for_locks(int milliseconds) const;
    void run(const char* sql) const;
    [[noreturn]] void fail(int code) const;

private:
    sqlite3* handle_ = nullptr;
};

class Statement {
public:
    Statement(const Database& database, const std::string& sql);
    Statement(const Statement&) = delete;
    Statement& operator=(const Statement&) = delete;
    ~Statement();

    Statement& bind(int place, std::string_view text); // the text must live until the next step
    Statement& bind(int place, std::int64_t number);
    Statement& bind(int place, std::optional<std::int64_t> number);
    Statement& bind(int place, std::optional<double> number);
    Statement& bind_blob(int place, std::string_view bytes); // likewise
    bool step();                                             // true: there is a row
    void reset();
    void execute();

    std::string text(int column) const;
    std::int64_t number(int column) const;
    double real(int column) const;
    bool is_null(int column) const;
    bool is_text(int column) const;
    bool is_blob(int column) const;

private:
    const Database& database_;
    sqlite3_stmt* handle_ = nullptr;
};

// Rolled back unless committed.
class Transaction {
public:
    explicit Transaction(const Database& database);
    Transaction(const Transaction&) = delete;
    Transaction& operator=(const Transaction&) = delete;
    ~Transaction();
    void commit();

private:
    const Database& database_;
    bool open_ = true;
};

} // namespace poster
