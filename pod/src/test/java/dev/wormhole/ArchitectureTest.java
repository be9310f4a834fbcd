// SPDX-License-Identifier: Apache-2.0
package dev.wormhole;

import static com.tngtech.archunit.lang.syntax.ArchRuleDefinition.noClasses;

import com.tngtech.archunit.base.DescribedPredicate;
import com.tngtech.archunit.core.domain.JavaClass;
import com.tngtech.archunit.core.importer.ImportOption;
import com.tngtech.archunit.junit.AnalyzeClasses;
import com.tngtech.archunit.junit.ArchTest;
import com.tngtech.archunit.lang.ArchRule;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** The house of DESIGN section 3: what each room may use, and one room for each third-party library. */
@AnalyzeClasses(
        packages = "dev.wormhole",
        importOptions = {ImportOption.DoNotIncludeTests.class, ArchitectureTest.WithoutTestJars.class})
final class ArchitectureTest {
    /** Other modules' tests come as a jar. */
    static final class WithoutTestJars implements ImportOption {
        @Override
        public boolean includes(com.tngtech.archunit.core.importer.Location location) {
            return !location.contains("-tests.jar");
        }
    }

    /** What each room imports of ours; itself is understood. Whatever is not listed is forbidden. */
    private static final Map<String, List<String>> ROOMS = new LinkedHashMap<>();

    static {
        ROOMS.put("model", List.of());
        ROOMS.put("seal", List.of());
        ROOMS.put("lock", List.of("model"));
        ROOMS.put("namespace", List.of("model", "lock", "seal"));
        ROOMS.put("content", List.of("model", "seal"));
        ROOMS.put("health", List.of("model", "namespace"));
        ROOMS.put("placement", List.of("model", "namespace", "health"));
        ROOMS.put("vfs", List.of("model", "lock", "namespace", "content"));
        ROOMS.put("mount.fuse", List.of());
        ROOMS.put("mount.linux", List.of("model", "lock", "namespace", "vfs", "mount.fuse"));
        ROOMS.put("consensus", List.of("model", "namespace"));
        ROOMS.put("config", List.of("model"));
        ROOMS.put("control", List.of("model"));
        ROOMS.put("transfer", List.of("model", "namespace", "content"));
        ROOMS.put("security", List.of("model", "seal", "transfer"));
        ROOMS.put("cli", List.of("model", "config", "control"));
    }

    private static final Map<String, String> LIBRARIES = Map.of(
            "org.apache.ratis..", "consensus",
            "org.rocksdb..", "consensus",
            "org.tomlj..", "config",
            "com.google.gson..", "control",
            "org.bouncycastle..", "security",
            "picocli..", "cli");

    @ArchTest
    static void everyRoomUsesOnlyTheRoomsBelowIt(com.tngtech.archunit.core.domain.JavaClasses classes) {
        ROOMS.forEach((room, below) -> {
            var allowed = new java.util.ArrayList<>(below);
            allowed.add(room);
            DescribedPredicate<JavaClass> elsewhere = DescribedPredicate.describe(
                    "of Wormhole but outside " + allowed,
                    type -> type.getPackageName().startsWith("dev.wormhole.")
                            && allowed.stream().noneMatch(name -> isIn(type, name)));
            ArchRule rule = noClasses()
                    .that()
                    .resideInAPackage("dev.wormhole." + room + "..")
                    .should()
                    .dependOnClassesThat(elsewhere);
            rule.check(classes);
        });
    }

    @ArchTest
    static void everyLibraryHasOneRoom(com.tngtech.archunit.core.domain.JavaClasses classes) {
        LIBRARIES.forEach((library, room) -> noClasses()
                .that()
                .resideOutsideOfPackage("dev.wormhole." + room + "..")
                .should()
                .dependOnClassesThat()
                .resideInAPackage(library)
                .check(classes));
    }

    /** Plain TCP carries TLS and nothing else: who would speak it is not in this list. */
    @ArchTest
    static void nobodySpeaksPlainly(com.tngtech.archunit.core.domain.JavaClasses classes) {
        noClasses()
                .that()
                .resideOutsideOfPackages("dev.wormhole.transfer..", "dev.wormhole.security..")
                .and()
                .doNotHaveFullyQualifiedName("dev.wormhole.pod.Secure")
                .and()
                .doNotHaveFullyQualifiedName("dev.wormhole.pod.Joining")
                .should()
                .dependOnClassesThat()
                .haveFullyQualifiedName("dev.wormhole.transfer.TcpTransport")
                .check(classes);
    }

    @ArchTest
    static void theCoreUsesTheJdkAlone(com.tngtech.archunit.core.domain.JavaClasses classes) {
        for (String room :
                Arrays.asList("model", "seal", "lock", "namespace", "content", "placement", "health", "vfs", "mount"))
            noClasses()
                    .that()
                    .resideInAPackage("dev.wormhole." + room + "..")
                    .should()
                    .dependOnClassesThat()
                    .resideOutsideOfPackages("java..", "javax.crypto..", "dev.wormhole..", "org.jspecify..")
                    .check(classes);
    }

    private static boolean isIn(JavaClass type, String room) {
        String name = "dev.wormhole." + room;
        return type.getPackageName().equals(name) || type.getPackageName().startsWith(name + ".");
    }
}
