#include "lockstep/launchers/table.h"

#include <gtest/gtest.h>

#include <sstream>

namespace lockstep {
namespace {

std::string printed(const Table& table, TerminalStyle style = {}) {
  std::ostringstream out;
  table.print(out, style);
  return out.str();
}

TEST(Table, AlignsColumnsAndLeavesTheLastOneUnpadded) {
  Table table({{"NAME"}, {"POINTS", true}, {"TEXT"}});
  table.add({"a", "7", "x"});
  table.add({"longer", "12345678", "y z"});
  EXPECT_EQ(printed(table),
            "NAME      POINTS  TEXT\n"
            "a              7  x\n"
            "longer  12345678  y z\n");
}

TEST(Table, CountsCodePointsNotBytes) {
  Table table({{"N"}, {"V"}});
  table.add({"Zoë", "1"});
  table.add({"Anna", "2"});
  EXPECT_EQ(printed(table), "N     V\nZoë   1\nAnna  2\n");
}

TEST(Table, CutsOnlyTheLastColumnAndOnlyOnANarrowTerminal) {
  Table table({{"RUN"}, {"COMMAND"}});
  table.add({"run_17", "python train.py --épochs 200"});
  EXPECT_EQ(printed(table, {.colours = false, .width = 24}), "RUN     COMMAND\nrun_17  python train.py…\n");
  EXPECT_NE(printed(table).find("--épochs 200"), std::string::npos);
}

TEST(Table, ColoursDoNotDisturbTheAlignment) {
  Table table({{"S"}, {"X"}});
  table.add({Cell("Failed", Colour::red), "1"});
  const std::string text = printed(table, {.colours = true, .width = 0});
  EXPECT_NE(text.find("\033[31mFailed\033[0m  1"), std::string::npos) << text;
}

TEST(Table, ControlCharactersCannotDriveTheTerminal) {
  Table table({{"COMMAND"}});
  table.add({"\033]0;title\a\r\nrm\xC2\x9B"});
  EXPECT_EQ(printed(table), "COMMAND\n?]0;title???rm?\n");
}

TEST(Printable, MakesAnyBytesValidUtf8) {
  EXPECT_EQ(printable("ok \xC3\xA9 \xFF\xC3 \xE2\x82"), "ok é ?? ??");
  EXPECT_EQ(printable(""), "");
}

TEST(Format, Durations) {
  EXPECT_EQ(format_duration(-3), "0.0 s");
  EXPECT_EQ(format_duration(1.25), "1.2 s");
  EXPECT_EQ(format_duration(9.96), "10 s");
  EXPECT_EQ(format_duration(59.6), "1 min 0 s");
  EXPECT_EQ(format_duration(95), "1 min 35 s");
  EXPECT_EQ(format_duration(7325), "2 h 2 min");
  EXPECT_EQ(format_duration(200000), "2 d 7 h");
}

TEST(Format, Bytes) {
  EXPECT_EQ(format_bytes(0), "0 B");
  EXPECT_EQ(format_bytes(1023), "1023 B");
  EXPECT_EQ(format_bytes(1536), "1.5 KiB");
  EXPECT_EQ(format_bytes((1u << 20) - 1), "1.0 MiB");
  EXPECT_EQ(format_bytes(std::uintmax_t{5} << 30), "5.0 GiB");
}

TEST(TerminalStyle, AFileGetsNeitherColoursNorWidth) {
  std::FILE* file = std::tmpfile();
  const TerminalStyle style = TerminalStyle::of(fileno(file));
  std::fclose(file);
  EXPECT_FALSE(style.colours);
  EXPECT_EQ(style.width, 0);
}

}  // namespace
}  // namespace lockstep
