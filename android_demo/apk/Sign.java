import com.android.apksig.ApkSigner;
import com.android.apksig.ApkVerifier;
import java.io.File;
import java.io.FileInputStream;
import java.security.KeyStore;
import java.security.PrivateKey;
import java.security.cert.X509Certificate;
import java.util.List;

/**
 * Aligns and signs an APK (signature schemes 2 and 3), and verifies what came out, by the library that Android's
 * apksigner is a shell of: {@code java -cp bundletool.jar Sign.java KEYSTORE PASSWORD MIN_SDK UNSIGNED SIGNED}.
 */
class Sign {
    public static void main(String[] arguments) throws Exception {
        char[] password = arguments[1].toCharArray();
        int minSdk = Integer.parseInt(arguments[2]);
        File unsigned = new File(arguments[3]);
        File signed = new File(arguments[4]);

        KeyStore store = KeyStore.getInstance("PKCS12");
        try (FileInputStream file = new FileInputStream(arguments[0])) {
            store.load(file, password);
        }
        String alias = store.aliases().nextElement();
        ApkSigner.SignerConfig signer = new ApkSigner.SignerConfig.Builder(
                alias, (PrivateKey) store.getKey(alias, password), List.of((X509Certificate) store.getCertificate(alias)))
            .build();
        new ApkSigner.Builder(List.of(signer))
            .setInputApk(unsigned)
            .setOutputApk(signed)
            .setMinSdkVersion(minSdk)
            .setV1SigningEnabled(false)
            .setV2SigningEnabled(true)
            .setV3SigningEnabled(true)
            .build()
            .sign();

        ApkVerifier.Result result = new ApkVerifier.Builder(signed).setMinCheckedPlatformVersion(minSdk).build().verify();
        if (!result.isVerified() || !result.isVerifiedUsingV2Scheme() || !result.isVerifiedUsingV3Scheme()) {
            throw new IllegalStateException("the signature does not verify: " + result.getErrors());
        }
    }
}
